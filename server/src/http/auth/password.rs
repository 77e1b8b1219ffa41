//! Passwords as Argon2id hashes. An unknown name costs the same time as a wrong password, and only so
//! many hashes run at once: each takes 19 MiB and about 30 ms of one core.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Hashes that run at once: 4 × 19 MiB = 76 MiB at the worst. More logins wait in line.
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
    let matches = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    matches && is_known
}

/// Verifies passwords on blocking threads, a few at a time.
#[derive(Clone)]
pub struct Verifier(Arc<Semaphore>);

impl Default for Verifier {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONCURRENT_MAX)))
    }
}

impl Verifier {
    /// See [`verify`].
    pub async fn verify(&self, password: String, stored: Option<String>) -> bool {
        let permit = self.0.clone().acquire_owned().await.expect("the semaphore is never closed");
        let task = tokio::task::spawn_blocking(move || {
            let matches = verify(&password, stored.as_deref());
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
}
