//! [`Disk`] as SQLite sees a file system. One connection a disk: locks always succeed, and the shared memory of
//! the write-ahead log is the connection's own. Decides nothing.
#![allow(unsafe_code, reason = "SQLite calls a file system through pointers to C functions")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::{Connection, OpenFlags, ffi};

use crate::disk::{Disk, Told};

const NAME: &CStr = c"daybook-disk";

/// Bytes of a path, its end included.
const PATH_BYTES_MAX: c_int = 256;

/// A disk that a test and a connection share.
pub type SharedDisk = Arc<Mutex<Disk>>;

/// The disks by the first part of their files' paths.
static DISKS: Mutex<Option<HashMap<String, SharedDisk>>> = Mutex::new(None);

/// A disk in use: its files go by `/NAME/…` as long as this lives.
pub struct Mounted {
    name: String,
    /// The disk.
    pub disk: SharedDisk,
}

impl Mounted {
    /// Makes a disk known to SQLite under a name that no other test uses.
    pub fn new(name: &str, disk: Disk) -> Mounted {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(register);
        let disk = Arc::new(Mutex::new(disk));
        let before = locked(&DISKS).get_or_insert_default().insert(name.to_owned(), disk.clone());
        assert!(before.is_none(), "two disks are called {name}");
        Mounted { name: name.to_owned(), disk }
    }

    /// Opens a file of the disk as a database.
    ///
    /// # Errors
    /// SQLite's.
    pub fn connect(&self, file: &str) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Connection::open_with_flags_and_vfs(format!("/{}/{file}", self.name), flags, NAME)
    }

    /// The disk, for reading its steps or planning a failure.
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        locked(&self.disk)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        locked(&DISKS).get_or_insert_default().remove(&self.name);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere fails its own test; the disk is plain data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file as SQLite allocates it: `szOsFile` bytes, which we fill.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

struct Open {
    disk: SharedDisk,
    file: String,
    delete_on_close: bool,
    /// Regions of shared memory. Boxed words: SQLite reads 64-bit values from them and keeps the addresses.
    shared: Vec<Box<[u64]>>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn register() {
    let vfs = Box::new(ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: PATH_BYTES_MAX,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    });
    // SAFETY: SQLite keeps the pointer for as long as the process lives, and so does the leaked box.
    let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(vfs), 0) };
    assert_eq!(registered, ffi::SQLITE_OK, "the file system is registered");
}

/// The disk and the file that a path names.
fn find(path: &str) -> Option<(SharedDisk, String)> {
    let (name, file) = path.strip_prefix('/')?.split_once('/')?;
    let disk = locked(&DISKS).as_ref()?.get(name)?.clone();
    Some((disk, file.to_owned()))
}

/// # Safety
/// `path` is a string of SQLite's.
unsafe fn find_at(path: *const c_char) -> Option<(SharedDisk, String)> {
    // SAFETY: the caller's word.
    find(unsafe { CStr::from_ptr(path) }.to_str().ok()?)
}

/// # Safety
/// `file` was opened by [`open`] and not closed.
unsafe fn opened<'f>(file: *mut ffi::sqlite3_file) -> &'f mut Open {
    // SAFETY: `open` put a boxed `Open` there, and SQLite calls one method of a file at a time.
    unsafe { &mut *(*file.cast::<OpenFile>()).open }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: SQLite gives `szOsFile` bytes; a null method table means "nothing to close".
    unsafe { (*file).base.pMethods = ptr::null() };
    if path.is_null() {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: SQLite's path.
    let Some((disk, name)) = (unsafe { find_at(path) }) else { return ffi::SQLITE_CANTOPEN };
    let may_create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    {
        let mut disk = locked(&disk);
        if !disk.files.contains_key(&name) && !may_create {
            return ffi::SQLITE_CANTOPEN;
        }
        disk.files.entry(name.clone()).or_default();
    }
    let delete_on_close = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
    let open = Box::new(Open { disk, file: name, delete_on_close, shared: Vec::new() });
    // SAFETY: as above; `flags_out` may be null.
    unsafe {
        (*file).open = Box::into_raw(open);
        (*file).base.pMethods = &raw const METHODS;
        if !flags_out.is_null() {
            *flags_out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once.
    let open = unsafe { Box::from_raw((*file.cast::<OpenFile>()).open) };
    if open.delete_on_close {
        locked(&open.disk).delete(&open.file, false);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite's buffer of so many bytes.
    let (open, into) =
        unsafe { (opened(file), std::slice::from_raw_parts_mut(into.cast::<u8>(), length as usize)) };
    let disk = locked(&open.disk);
    let bytes = disk.files.get(&open.file).map_or(&[][..], Vec::as_slice);
    let from = bytes.get(offset as usize..).unwrap_or_default();
    let read = from.len().min(into.len());
    into[..read].copy_from_slice(&from[..read]);
    into[read..].fill(0);
    if read == into.len() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
}

fn code(result: Result<(), Told>, failure: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Told::Full) => ffi::SQLITE_FULL,
        Err(Told::Error) => failure,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite's buffer of so many bytes.
    let (open, from) =
        unsafe { (opened(file), std::slice::from_raw_parts(from.cast::<u8>(), length as usize)) };
    code(locked(&open.disk).write(&open.file, offset as usize, from), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    code(locked(&open.disk).truncate(&open.file, length as usize), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { opened(file) };
    code(locked(&open.disk).sync(&open.file), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, length: *mut i64) -> c_int {
    // SAFETY: an open file and SQLite's variable.
    unsafe {
        let open = opened(file);
        *length = locked(&open.disk).files.get(&open.file).map_or(0, Vec::len) as i64;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: SQLite's variable.
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // What SQLite believes of every disk on Unix: a torn write does not touch the bytes beside it.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    _extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file and SQLite's variable; the boxes stay where they are until the file is closed.
    unsafe {
        let open = opened(file);
        while open.shared.len() <= region as usize {
            open.shared.push(vec![0; size as usize / size_of::<u64>()].into_boxed_slice());
        }
        *out = open.shared[region as usize].as_mut_ptr().cast();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(_: *mut ffi::sqlite3_file, _: c_int, _: c_int, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { opened(file) }.shared.clear();
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite's path.
    let Some((disk, file)) = (unsafe { find_at(path) }) else { return ffi::SQLITE_IOERR_DELETE };
    let existed = locked(&disk).delete(&file, sync_dir != 0);
    if existed { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_DELETE_NOENT }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's path and variable.
    unsafe {
        let found = find_at(path);
        *answer = found.is_some_and(|(disk, file)| locked(&disk).files.contains_key(&file)).into();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's path, and its buffer of so many bytes.
    unsafe {
        let path = CStr::from_ptr(path).to_bytes_with_nul();
        if path.len() > length as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(path.as_ptr(), out.cast::<u8>(), path.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SQLite seeds its own generator from the default file system; nothing that matters comes from here.
    // SAFETY: SQLite's buffer of so many bytes.
    unsafe { ptr::write_bytes(out.cast::<u8>(), 0x5a, length as usize) };
    length
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite's variable.
    unsafe { *out = 2_461_000.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int64(_: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite's variable; milliseconds of the Julian day.
    unsafe { *out = 212_630_443_200_000 };
    ffi::SQLITE_OK
}
