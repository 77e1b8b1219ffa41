//! Photos: content-addressed files beside the database. A file's name is the SHA-256 of its bytes; a part
//! that arrived stays, so an upload that was cut at any byte goes on where it stopped (S10). Parts belong to the
//! device that sent them: what one device claims of a file stands in no other's way. Does not know who may read or
//! write a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use shared::id::{ChangeHash, DeviceId};

/// The SHA-256 of a file's bytes. The same width as a change's hash, and never mistaken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId([u8; 32]);

/// Bytes of one file: a photo of 12 megapixels is 4 MB as the camera writes it, 0.4 MB as the phone sends it.
pub const FILE_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// Bytes of one uploaded part: two seconds on a weak signal; what is lost when the signal goes.
pub const PART_BYTES_MAX: usize = 512 * 1024;

/// What the store holds of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing yet, or so many bytes from the beginning; go on there.
    Part(u64),
    /// All of it, verified and on disk.
    Whole(u64),
}

/// Some bytes of a file.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The place of the first of them.
    pub offset: u64,
    /// The length of the whole file, as the sender states it.
    pub total: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Why a part was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The part does not begin where the held bytes end; the answer says where that is.
    #[error("the part begins at another byte than {0}")]
    WrongOffset(u64),
    /// The file is empty, larger than [`FILE_BYTES_MAX`], or the part goes beyond the stated length.
    #[error("the file or part exceeds its limit")]
    TooLarge,
    /// All bytes are here and their SHA-256 is another; what was held is dropped.
    #[error("the bytes do not have the stated hash")]
    WrongHash,
    /// The disk failed.
    #[error("the file store failed")]
    Io(#[from] io::Error),
}

impl FileId {
    /// The id of the given bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads the 64 hexadecimal digits of an id.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<ChangeHash>().ok().map(|hash| Self(hash.0))
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A folder of content-addressed files.
#[derive(Debug, Clone)]
pub struct FileStore {
    whole: PathBuf,
    parts: PathBuf,
}

impl FileStore {
    /// Opens the store in a folder, which is made if missing.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let store = Self { whole: folder.join("whole"), parts: folder.join("parts") };
        fs::create_dir_all(&store.whole)?;
        fs::create_dir_all(&store.parts)?;
        // What stands here as a file was sent by nobody in particular: it is sent again.
        for entry in fs::read_dir(&store.parts)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(store)
    }

    /// What is held of a file: all of it, whoever sent it, or what `device` has sent.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn held(&self, id: FileId, device: DeviceId) -> io::Result<Held> {
        if let Some(length) = length_of(&self.whole_path(id))? {
            return Ok(Held::Whole(length));
        }
        Ok(Held::Part(length_of(&self.part_path(id, device))?.unwrap_or(0)))
    }

    /// Takes the part of a file that begins at `offset`. When the last part is here the whole is verified and
    /// only then moved to its name: a crash at any byte leaves a part or the whole, never something between.
    /// What the device sent of a longer file under this name can be no part of it: it is dropped.
    ///
    /// # Errors
    /// `WrongOffset`, `TooLarge`, `WrongHash`, `Io`.
    pub fn append(
        &self,
        id: FileId,
        device: DeviceId,
        Part { offset, total, bytes }: Part<'_>,
    ) -> Result<Held, FileError> {
        let mut held = match self.held(id, device)? {
            Held::Whole(length) => return Ok(Held::Whole(length)),
            Held::Part(length) => length,
        };
        let is_beyond = total == 0 || total > FILE_BYTES_MAX || bytes.len() > PART_BYTES_MAX;
        if is_beyond || bytes.len() as u64 > total {
            return Err(FileError::TooLarge);
        }
        let path = self.part_path(id, device);
        if held >= total {
            fs::remove_file(&path)?;
            held = 0;
        }
        if offset != held {
            return Err(FileError::WrongOffset(held));
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if end > total {
            return Err(FileError::TooLarge);
        }
        fs::create_dir_all(path.parent().expect("a part's path has a folder"))?;
        let mut part = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        part.seek(SeekFrom::Start(offset))?;
        part.write_all(bytes)?;
        part.sync_data()?;
        if end < total {
            return Ok(Held::Part(end));
        }
        if hash_of(&path)? != id {
            fs::remove_file(&path)?;
            return Err(FileError::WrongHash);
        }
        let whole = self.whole_path(id);
        let folder = whole.parent().expect("a file's path has a folder");
        fs::create_dir_all(folder)?;
        fs::rename(&path, &whole)?;
        File::open(folder)?.sync_all()?;
        File::open(&self.whole)?.sync_all()?;
        // Others need not send what is here.
        self.remove_parts(id)?;
        Ok(Held::Whole(end))
    }

    /// Opens a whole file for reading; none if it is not held whole.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open_whole(&self, id: FileId) -> io::Result<Option<File>> {
        match File::open(self.whole_path(id)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file and what arrived of it in part; one that is not there is no error.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn remove(&self, id: FileId) -> io::Result<()> {
        remove_file(&self.whole_path(id))?;
        self.remove_parts(id)
    }

    fn remove_parts(&self, id: FileId) -> io::Result<()> {
        let folder = self.parts.join(id.to_string());
        let parts = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            parts => parts?,
        };
        for part in parts {
            remove_file(&part?.path())?;
        }
        match fs::remove_dir(folder) {
            // Another device has just begun a part.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn whole_path(&self, id: FileId) -> PathBuf {
        let name = id.to_string();
        self.whole.join(&name[..2]).join(name)
    }

    fn part_path(&self, id: FileId, device: DeviceId) -> PathBuf {
        self.parts.join(id.to_string()).join(device.to_string())
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn length_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn hash_of(path: &Path) -> io::Result<FileId> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(FileId(hasher.finalize().into())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: DeviceId = DeviceId([1; 16]);
    const OTHER: DeviceId = DeviceId([2; 16]);

    fn put(store: &FileStore, id: FileId, offset: u64, total: u64, bytes: &[u8]) -> Result<Held, FileError> {
        store.append(id, PHONE, Part { offset, total, bytes })
    }

    fn photo() -> Vec<u8> {
        (0..1_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = FileStore::open(folder.path()).expect("an empty folder");
        (folder, store)
    }

    /// FILE-1 (S10): an upload cut at any byte goes on where it stopped.
    #[test]
    fn an_upload_goes_on_where_it_was_cut() {
        let (_folder, store) = store();
        let bytes = photo();
        let (id, total) = (FileId::of(&bytes), bytes.len() as u64);
        let mut cuts = [1, 7, 65_536, 500_000, 800_001].into_iter().chain([bytes.len()]);
        let mut offset = 0;
        while let Ok(Held::Part(held)) = store.held(id, PHONE) {
            assert_eq!(held, offset as u64);
            let cut = cuts.next().expect("the last cut completes the file").min(offset + PART_BYTES_MAX);
            put(&store, id, held, total, &bytes[offset..cut]).expect("in order");
            offset = cut;
        }
        assert_eq!(store.held(id, PHONE).expect("readable"), Held::Whole(total));
        let mut read = Vec::new();
        store.open_whole(id).expect("readable").expect("whole").read_to_end(&mut read).expect("readable");
        assert_eq!(read, bytes);
    }

    /// FILE-2 (S10): nothing is called whole whose hash was not verified.
    #[test]
    fn bytes_with_another_hash_are_dropped_and_never_called_whole() {
        let (_folder, store) = store();
        let id = FileId::of(b"what was photographed");
        let answer = put(&store, id, 0, 4, b"else");
        assert!(matches!(answer, Err(FileError::WrongHash)), "{answer:?}");
        assert_eq!(store.held(id, PHONE).expect("readable"), Held::Part(0));
    }

    /// FILE-3 (S13): a repeated part changes nothing, and a part out of place is told where to go on.
    #[test]
    fn a_repeated_part_is_told_where_to_go_on() {
        let (_folder, store) = store();
        let id = FileId::of(b"abcdef");
        assert_eq!(put(&store, id, 0, 6, b"abc").expect("the first part"), Held::Part(3));
        assert!(matches!(put(&store, id, 0, 6, b"abc"), Err(FileError::WrongOffset(3))));
        assert!(matches!(put(&store, id, 5, 6, b"f"), Err(FileError::WrongOffset(3))));
        assert_eq!(put(&store, id, 3, 6, b"def").expect("the last part"), Held::Whole(6));
        assert_eq!(put(&store, id, 3, 6, b"def").expect("repeated"), Held::Whole(6));
    }

    /// FILE-4: a file beyond the limit is refused before a byte is written.
    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let (_folder, store) = store();
        let id = FileId::of(b"x");
        assert!(matches!(put(&store, id, 0, FILE_BYTES_MAX + 1, b"x"), Err(FileError::TooLarge)));
        assert!(matches!(put(&store, id, 0, 1, b"xy"), Err(FileError::TooLarge)));
        assert_eq!(store.held(id, PHONE).expect("readable"), Held::Part(0));
    }

    /// FILE-10: what another device sent under the same name, of whatever length, stands in nobody's way.
    #[test]
    fn a_foreign_part_of_a_longer_file_blocks_no_upload() {
        let (_folder, store) = store();
        let id = FileId::of(b"abcdef");
        let foreign = Part { offset: 0, total: 1_000, bytes: &[0; 500] };
        assert_eq!(store.append(id, OTHER, foreign).expect("taken"), Held::Part(500));
        assert_eq!(store.held(id, PHONE).expect("readable"), Held::Part(0));
        assert_eq!(put(&store, id, 0, 6, b"abc").expect("the first part"), Held::Part(3));
        assert_eq!(put(&store, id, 3, 6, b"def").expect("the last part"), Held::Whole(6));
        assert_eq!(store.held(id, OTHER).expect("readable"), Held::Whole(6), "nobody need send it again");
        assert_eq!(fs::read_dir(&store.parts).expect("readable").count(), 0, "no part is left");
    }

    /// FILE-10: nor does what the same device sent of a longer file.
    #[test]
    fn a_part_beyond_the_stated_length_is_dropped() {
        let (_folder, store) = store();
        let id = FileId::of(b"abcdef");
        assert_eq!(put(&store, id, 0, 1_000, &[0; 500]).expect("taken"), Held::Part(500));
        assert!(matches!(put(&store, id, 500, 6, b""), Err(FileError::WrongOffset(0))));
        assert_eq!(put(&store, id, 0, 6, b"abcdef").expect("all of it"), Held::Whole(6));
    }
}
