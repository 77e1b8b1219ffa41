//! Passwords as Argon2id hashes. An unknown name costs the same time as a wrong password, and only so
//! many hashes run at once: each takes 19 MiB and about 30 ms of one core. Their memory is taken at the start and used
//! again: a heap that is asked for 19 MiB by one thread after the other keeps a copy for each of them, and how many run
//! at once would be a matter of chance.

use std::sync::{Arc, Mutex, OnceLock};

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

/// Hashes that run at once, if there are twice as many cores: logins leave half of them to everybody else. More logins
/// wait in line.
const CONCURRENT_MAX: usize = 4;

/// The shortest password that `user add` accepts, in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;

/// The longest password considered, in bytes: hashing a megabyte is work for an attacker to order.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Hashes a password with a fresh salt.
///
/// # Panics
/// Never for passwords of at most [`PASSWORD_BYTES_MAX`] bytes.
pub fn hash(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("default parameters accept any password below 4 GiB")
        .to_string()
}

/// Whether the password matches the hash. Without a hash (unknown name, disabled person) the same work is
/// done and the answer is no.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    verify_in(&mut Vec::new(), password, stored)
}

fn verify_in(memory: &mut Vec<Block>, password: &str, stored: Option<&str>) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody = NOBODY.get_or_init(|| hash("nobody's password"));
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let known = stored.and_then(|text| PasswordHash::new(text).ok());
    let is_known = known.is_some();
    let hash = match known {
        Some(hash) => hash,
        None => PasswordHash::new(nobody).expect("made by `hash`"),
    };
    matches(memory, password, &hash).unwrap_or(false) && is_known
}

/// Hashes the password as the stored one was and compares in constant time; none for a hash that is not ours.
fn matches(memory: &mut Vec<Block>, password: &str, stored: &PasswordHash) -> Option<bool> {
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).ok()?;
    let version = Version::try_from(stored.version?).ok()?;
    let params = Params::try_from(stored).ok()?;
    let (salt, expected) = (stored.salt.as_ref()?, stored.hash.as_ref()?);
    memory.resize(params.block_count().max(memory.len()), Block::default());
    let mut made = vec![0; expected.len()];
    let argon2 = Argon2::new(algorithm, version, params);
    argon2
        .hash_password_into_with_memory(password.as_bytes(), salt.as_ref(), &mut made, &mut memory[..])
        .ok()?;
    Some(Output::new(&made).ok()? == *expected)
}

/// Verifies passwords on blocking threads, a few at a time.
#[derive(Clone)]
pub struct Verifier {
    permits: Arc<Semaphore>,
    /// Memory that no hash uses at the moment.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Default for Verifier {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = (cores / 2).clamp(1, CONCURRENT_MAX);
        let memory = vec![vec![Block::default(); Params::DEFAULT.block_count()]; count];
        Self { permits: Arc::new(Semaphore::new(count)), memory: Arc::new(Mutex::new(memory)) }
    }
}

impl Verifier {
    /// See [`verify`].
    pub async fn verify(&self, password: String, stored: Option<String>) -> bool {
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let pool = self.memory.clone();
        let task = tokio::task::spawn_blocking(move || {
            let idle = || pool.lock().expect("nothing panics with it");
            let mut memory = idle().pop().unwrap_or_default();
            let matches = verify_in(&mut memory, &password, stored.as_deref());
            idle().push(memory);
            drop(permit);
            matches
        });
        task.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-1
    #[test]
    fn only_the_right_password_of_a_known_person_matches() {
        let stored = hash("correct horse");
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("wrong horse", Some(&stored)));
        assert!(!verify("nobody's password", None));
        assert!(!verify("correct horse", Some("not a hash")));
        assert!(!verify(&"x".repeat(PASSWORD_BYTES_MAX + 1), Some(&stored)));
    }

    // SEC-1
    #[test]
    fn memory_that_another_hash_left_behind_changes_no_answer() {
        let (mine, theirs) = (hash("correct horse"), hash("battery staple"));
        let mut memory = Vec::new();
        for _ in 0..2 {
            assert!(verify_in(&mut memory, "correct horse", Some(&mine)));
            assert!(!verify_in(&mut memory, "correct horse", Some(&theirs)));
            assert!(verify_in(&mut memory, "battery staple", Some(&theirs)));
            assert!(!verify_in(&mut memory, "battery staple", None));
        }
    }

    // SEC-1
    #[tokio::test]
    async fn logins_at_once_use_the_memory_that_was_taken_at_the_start() {
        let verifier = Verifier::default();
        let held = |verifier: &Verifier| -> Vec<usize> {
            verifier.memory.lock().unwrap().iter().map(Vec::capacity).collect()
        };
        let before = held(&verifier);
        assert_eq!(before, vec![Params::DEFAULT.block_count(); verifier.permits.available_permits()]);
        let logins = (0..12).map(|_| {
            let verifier = verifier.clone();
            tokio::spawn(async move { verifier.verify("correct horse".into(), None).await })
        });
        for login in logins.collect::<Vec<_>>() {
            assert!(!login.await.unwrap());
        }
        assert_eq!(held(&verifier), before);
    }
}
