//! The pool of admission workers: verdicts as in process, and a worker that dies or hangs takes nobody along.
//! The worker process here is this very test binary: [`worker_process`] becomes one when it is told to.

use std::sync::mpsc;
use std::time::Duration;

use server::admission::{Admitter, InProcess, Job, Judge, Judged, PoolOptions, WorkerPool, judge, serve};
use shared::document::{Document, Kind, Writer};
use shared::edit::{Edit, Patch};
use shared::id::{ActorId, DocId, PersonId, Scope};
use shared::limits::ADMISSION_MEMORY_BYTES_MAX;
use shared::refusal::Rule;

use crate::world::{START, recorded};

const AS_WORKER: &str = "DAYBOOK_TEST_WORKER";

/// Not a test of anything: with the variable set it is a worker process whose judge dies on a text 死, works on a
/// text 忙 for ever, and on a text 等 waits for ever.
#[test]
fn worker_process() {
    if std::env::var_os(AS_WORKER).is_none() {
        return;
    }
    let faulty = |job: &Job| {
        for change in &job.changes {
            let holds = |text: &str| change.windows(text.len()).any(|window| window == text.as_bytes());
            if holds("死") {
                std::process::abort();
            }
            while holds("忙") {
                std::hint::black_box(change);
            }
            while holds("等") {
                std::thread::park();
            }
        }
        judge(job)
    };
    let ended = serve(std::io::stdin().lock(), std::io::stdout().lock(), faulty);
    std::process::exit(i32::from(ended.is_err()));
}

fn pool(workers: usize) -> (WorkerPool, mpsc::Receiver<Judged>) {
    let options = PoolOptions {
        program: std::env::current_exe().expect("this binary"),
        arguments: ["--exact", "workers::worker_process", "--nocapture"].map(str::to_owned).to_vec(),
        environment: vec![(AS_WORKER.to_owned(), "1".to_owned())],
        workers,
        time_limit: Duration::from_millis(1_500),
    };
    let pool = WorkerPool::new(options).expect("starts");
    let (sender, receiver) = mpsc::channel();
    pool.on_judged(move |judged| sender.send(judged).expect("the test waits"));
    (pool, receiver)
}

/// A job that creates a card with one change for each text.
fn job(id: u64, texts: &[&str]) -> Job {
    let customer = DocId([id as u8; 16]);
    let writer = Writer {
        person: PersonId([1; 16]),
        actor: ActorId([id as u8; 16]),
        recorded: recorded(shared::time::UtcMillis(START)),
    };
    let patch = |text: &str| -> Patch { [("address".to_owned(), text.into())].into() };
    let create = Edit::CreateCustomer { customer, fields: patch(texts[0]) };
    let (mut document, mut changes) = Document::create(&writer, &create).expect("valid");
    for text in &texts[1..] {
        let edit = Edit::EditCustomer { customer, fields: patch(text) };
        changes.extend(document.edit(&writer, &edit).expect("valid"));
    }
    Job {
        id,
        doc: customer,
        kind: Kind::Customer,
        scope: Scope::Customer(customer),
        stored: None,
        person: writer.person,
        replayed: 0,
        changes: changes.into_iter().map(|change| change.bytes.into()).collect(),
    }
}

fn all(
    receiver: &mpsc::Receiver<Judged>,
    count: usize,
) -> std::collections::BTreeMap<u64, server::admission::Verdict> {
    let mut verdicts = std::collections::BTreeMap::new();
    while verdicts.len() < count {
        let judged = receiver.recv_timeout(Duration::from_secs(60)).expect("every job gets its verdict");
        verdicts.extend(judged.into_verdicts());
    }
    verdicts
}

/// ADM-40: a worker's verdicts are those of the same code in process.
#[test]
fn workers_judge_as_the_process_itself_would() {
    let jobs: Vec<Job> = (1..40).map(|id| job(id, &["人民路1号", "解放路2号"])).collect();
    let expected: std::collections::BTreeMap<_, _> =
        InProcess.judge(jobs.clone()).into_verdicts().into_iter().collect();
    let (pool, receiver) = pool(2);
    pool.submit(jobs);
    assert_eq!(all(&receiver, 39), expected);
    assert_eq!(pool.counts().deaths(), 0);
    assert!(pool.counts().starts() <= 2);
}

/// ADM-41: a job that kills its worker is refused alone; the others of its batch pass, and deaths are counted.
#[test]
fn a_deadly_job_takes_nobody_along() {
    let (pool, receiver) = pool(1);
    pool.submit(vec![job(1, &["好"]), job(2, &["死"]), job(3, &["好"])]);
    let verdicts = all(&receiver, 3);
    assert!(verdicts[&1].is_ok() && verdicts[&3].is_ok());
    assert_eq!(verdicts[&2].as_ref().expect_err("refused").rule, Rule::Unloadable);
    assert!(pool.counts().deaths() >= 2, "once in the batch, once alone");
    pool.submit(vec![job(4, &["好"])]);
    assert!(all(&receiver, 1)[&4].is_ok(), "the pool lives");
}

/// ADM-42: within a job, the changes before the deadly one pass.
#[test]
fn the_changes_before_a_deadly_one_pass() {
    let (pool, receiver) = pool(1);
    pool.submit(vec![job(1, &["一", "二", "三", "四", "死", "六", "七"])]);
    let verdicts = all(&receiver, 1);
    let admitted = verdicts[&1].as_ref().expect("its first changes are good");
    assert_eq!(admitted.applied(), 4);
    assert_eq!(admitted.refused().map(|refusal| refusal.rule), Some(Rule::Unloadable));
}

/// ADM-43: a worker that hangs is killed after the limit, and its job refused.
#[test]
fn a_hanging_job_is_ended() {
    let (pool, receiver) = pool(1);
    pool.submit(vec![job(1, &["忙"]), job(2, &["好"])]);
    let verdicts = all(&receiver, 2);
    assert_eq!(verdicts[&1].as_ref().expect_err("refused").rule, Rule::Unloadable);
    assert!(verdicts[&2].is_ok());
}

/// ADM-46: a worker to which the machine gives no time is no word against a job.
#[test]
fn a_job_that_no_worker_came_to_is_offered_again() {
    let (pool, receiver) = pool(1);
    pool.submit(vec![job(1, &["等"])]);
    let refusal = all(&receiver, 1).remove(&1).expect("its verdict").expect_err("nobody judged it");
    assert!(refusal.rule.is_passing(), "{refusal:?}");
    pool.submit(vec![job(2, &["好"])]);
    assert!(all(&receiver, 1)[&2].is_ok(), "the pool lives");
}

/// ADM-46: a worker that cannot be started is no word against a job.
#[test]
fn what_no_worker_could_be_started_for_is_offered_again() {
    let (sender, receiver) = mpsc::channel();
    let options = PoolOptions {
        program: "/nowhere/daybook".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        workers: 2,
        time_limit: Duration::from_secs(20),
    };
    let pool = WorkerPool::new(options).expect("starts");
    pool.on_judged(move |judged| sender.send(judged).expect("the test waits"));
    pool.submit((1..40).map(|id| job(id, &["好"])).collect());
    let verdicts = all(&receiver, 39);
    assert!(
        verdicts.values().all(|verdict| verdict.as_ref().is_err_and(|refusal| refusal.rule.is_passing()))
    );
}

/// ADM-44: the real worker works within its own limits of memory and files.
#[test]
fn the_real_worker_judges_within_its_limits() {
    let options = PoolOptions {
        program: env!("CARGO_BIN_EXE_daybook").into(),
        arguments: vec![server::admission::WORKER_COMMAND.to_owned()],
        environment: Vec::new(),
        workers: 1,
        time_limit: Duration::from_secs(20),
    };
    let pool = WorkerPool::new(options).expect("starts");
    let (sender, receiver) = mpsc::channel();
    pool.on_judged(move |judged| sender.send(judged).expect("the test waits"));
    pool.submit(vec![job(1, &["人民路1号"]), job(2, &["解放路2号"])]);
    assert!(all(&receiver, 2).values().all(Result::is_ok));
    assert_eq!(pool.counts().deaths(), 0);
    let reserved = address_space_of_children();
    assert!(reserved.iter().any(|bytes| *bytes > 0), "a worker lives");
    assert!(
        reserved.iter().all(|bytes| *bytes < ADMISSION_MEMORY_BYTES_MAX / 2),
        "{reserved:?} bytes are taken before there is work"
    );
}

/// Address space of this process's children.
fn address_space_of_children() -> Vec<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let kilobytes = |child: &String| {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    children.iter().filter_map(kilobytes).map(|kilobytes| kilobytes * 1024).collect()
}

/// ADM-45: more cards than stay open, each edited again and again; some edits are refused, some are judged anew
/// on a form of the card before the last.
#[test]
fn a_judge_that_keeps_documents_open_judges_as_one_that_opens_them() {
    let mut keeping = Judge::default();
    let texts: Vec<String> = (0..6).map(|number| format!("人民路{number}号")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let jobs: Vec<Job> = (1..=150).map(|id| job(id, &texts)).collect();
    let mut forms: Vec<Vec<Vec<u8>>> = vec![Vec::new(); jobs.len()];
    let mut refused = 0;
    for nth in 0..texts.len() {
        // By neighbours: the card comes again while it is open, after that when it is not any more.
        for repeat in 0..2 {
            for (whole, forms) in jobs.iter().zip(&mut forms) {
                let before = forms.len().checked_sub(if repeat == 0 { 1 } else { 2 });
                let mut one = whole.clone();
                one.stored = before.map(|before| forms[before].clone().into());
                one.changes = vec![whole.changes[nth].clone()];
                if whole.id % 7 == 0 && repeat == 0 {
                    let mut skipping = one.clone();
                    skipping.changes = whole.changes.last().cloned().into_iter().collect();
                    let verdict = keeping.judge(&skipping);
                    refused += usize::from(verdict.is_err());
                    assert_eq!(verdict, judge(&skipping));
                }
                let verdict = keeping.judge(&one);
                assert_eq!(verdict, judge(&one));
                let admitted = verdict.expect("an honest change");
                if repeat == 0 {
                    forms.push(admitted.saved().to_vec());
                }
                let again = Job { stored: Some(admitted.saved().to_vec().into()), ..one };
                assert_eq!(keeping.judge(&again), judge(&again), "a change that is held already");
            }
        }
    }
    assert!(refused > 50, "{refused}");
}
