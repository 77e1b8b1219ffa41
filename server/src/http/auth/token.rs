//! Access tokens: EdDSA, ten minutes, issuer, audience, type, `nbf` and `exp` checked. The key is a file
//! of the data folder that only the server's user may read. Knows nothing of sessions.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use shared::id::{DeviceId, PersonId};

use crate::clock;

/// How long an access token is good for, in seconds. A revoked device is refused at once all the same:
/// every use looks the device up.
pub const ACCESS_SECONDS: u64 = 600;

/// How far two clocks of one server room may differ, in seconds.
const LEEWAY_SECONDS: u64 = 5;

const ISSUER: &str = "daybook";
const AUDIENCE: &str = "daybook-api";
const TYPE: &str = "at+jwt";
const SECRET_BYTES: usize = 32;

/// The server's secrets: the signing key, and the key from which successors of refresh tokens follow.
pub struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    refresh: hmac::Key,
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The person.
    pub sub: PersonId,
    /// The device.
    pub device: DeviceId,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// Says that a token is not ours, not yet or no longer good. Which of these is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is not valid")]
pub struct InvalidToken;

/// Says why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFailure {
    /// The file cannot be read or written.
    #[error("the key file cannot be used: {0}")]
    File(#[from] io::Error),
    /// The file holds something else.
    #[error("the key file is damaged")]
    Damaged,
    /// A token signed at start-up did not verify, or a forged one did.
    #[error("the signature self-test failed")]
    SelfTest,
}

impl Keys {
    /// Reads the secrets from the file, or draws them and writes it (mode 0600) if it does not exist.
    ///
    /// # Errors
    /// [`KeyFailure`]; the self-test is part of opening.
    pub fn open(path: &Path) -> Result<Keys, KeyFailure> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => write_fresh(path)?,
            Err(error) => return Err(error.into()),
        };
        let secret: [u8; 2 * SECRET_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyFailure::Damaged)?;
        Self::from_secret(&secret)
    }

    /// Fresh secrets that live in memory only.
    ///
    /// # Errors
    /// `SelfTest`.
    pub fn ephemeral() -> Result<Keys, KeyFailure> {
        Self::from_secret(&clock::random())
    }

    fn from_secret(secret: &[u8; 2 * SECRET_BYTES]) -> Result<Keys, KeyFailure> {
        let (seed, refresh) = secret.split_at(SECRET_BYTES);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyFailure::Damaged)?;
        let private = pair.to_pkcs8v1().map_err(|_| KeyFailure::Damaged)?;
        let keys = Keys {
            signing: EncodingKey::from_ed_der(private.as_ref()),
            verifying: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, refresh),
        };
        keys.self_test()?;
        Ok(keys)
    }

    /// One backend for signatures must be linked in, and exactly one: a build with none or two fails here and
    /// not at the first login.
    fn self_test(&self) -> Result<(), KeyFailure> {
        let (person, device) = (PersonId([1; 16]), DeviceId([2; 16]));
        let token = self.issue(person, device, seconds_now());
        let claims = self.check(&token).map_err(|_| KeyFailure::SelfTest)?;
        let (head, signature) = token.rsplit_once('.').ok_or(KeyFailure::SelfTest)?;
        let flipped: String = signature.chars().rev().collect();
        let forged = self.check(&format!("{head}.{flipped}"));
        let ok = claims.sub == person && claims.device == device && forged.is_err();
        if ok { Ok(()) } else { Err(KeyFailure::SelfTest) }
    }

    /// Signs a token for a person on a device, good from `now` (seconds since 1970) for [`ACCESS_SECONDS`].
    pub fn issue(&self, person: PersonId, device: DeviceId, now: u64) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: person,
            device,
            iat: now,
            nbf: now,
            exp: now + ACCESS_SECONDS,
        };
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.signing).expect("the key was tried at start-up")
    }

    /// Checks a token.
    ///
    /// # Errors
    /// [`InvalidToken`]
    pub fn check(&self, token: &str) -> Result<Claims, InvalidToken> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let data =
            jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation).map_err(|_| InvalidToken)?;
        if data.header.typ.as_deref() == Some(TYPE) { Ok(data.claims) } else { Err(InvalidToken) }
    }

    /// The refresh token that follows the given one: always the same, so that a lost reply can be repeated
    /// without keeping any token in the clear.
    pub fn successor(&self, refresh_token: &[u8; 32]) -> [u8; 32] {
        let tag = hmac::sign(&self.refresh, refresh_token);
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

fn write_fresh(path: &Path) -> io::Result<Vec<u8>> {
    let secret = clock::random::<{ 2 * SECRET_BYTES }>();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(secret.to_vec())
}

/// Seconds since 1970.
pub fn seconds_now() -> u64 {
    (clock::utc_now().0 / 1000).max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(typ: Option<&str>, algorithm: Algorithm) -> Header {
        Header { typ: typ.map(str::to_owned), ..Header::new(algorithm) }
    }

    fn claims() -> Claims {
        let now = seconds_now();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: PersonId([1; 16]),
            device: DeviceId([2; 16]),
            iat: now,
            nbf: now,
            exp: now + 60,
        }
    }

    // SEC-2
    #[test]
    fn a_token_is_good_for_ten_minutes_and_neither_before_nor_after() {
        let keys = Keys::ephemeral().expect("self-test");
        let now = seconds_now();
        let token = |at| keys.issue(PersonId([1; 16]), DeviceId([2; 16]), at);
        assert!(keys.check(&token(now)).is_ok());
        assert!(keys.check(&token(now - ACCESS_SECONDS + 60)).is_ok());
        assert_eq!(keys.check(&token(now - ACCESS_SECONDS - 60)), Err(InvalidToken));
        assert_eq!(keys.check(&token(now + 60)), Err(InvalidToken));
    }

    // SEC-2
    #[test]
    fn issuer_audience_type_and_key_are_checked() {
        let keys = Keys::ephemeral().expect("self-test");
        let stranger = Keys::ephemeral().expect("self-test");
        let sign = |header: &Header, claims: &Claims| {
            jsonwebtoken::encode(header, claims, &keys.signing).expect("signs")
        };
        let good = header(Some(TYPE), Algorithm::EdDSA);
        assert!(keys.check(&sign(&good, &claims())).is_ok());
        assert!(stranger.check(&sign(&good, &claims())).is_err());
        assert!(keys.check(&sign(&good, &Claims { iss: "other".into(), ..claims() })).is_err());
        assert!(keys.check(&sign(&good, &Claims { aud: "other".into(), ..claims() })).is_err());
        assert!(keys.check(&sign(&header(Some("JWT"), Algorithm::EdDSA), &claims())).is_err());
        assert!(keys.check(&sign(&header(None, Algorithm::EdDSA), &claims())).is_err());
        // The public key as an HMAC secret, and no signature at all: the classic forgeries.
        let hmac = EncodingKey::from_secret(keys.verifying.try_get_as_bytes().expect("public bytes"));
        let confused =
            jsonwebtoken::encode(&header(Some(TYPE), Algorithm::HS256), &claims(), &hmac).expect("signs");
        assert!(keys.check(&confused).is_err());
        assert!(keys.check("eyJhbGciOiJub25lIn0.e30.").is_err());
        assert!(keys.check("").is_err());
    }

    #[test]
    fn the_key_file_is_private_and_lasting() {
        let folder = std::env::temp_dir().join(format!("daybook-keys-{:?}", clock::random::<8>()));
        fs::create_dir(&folder).expect("a folder");
        let path = folder.join("keys");
        let token =
            Keys::open(&path).expect("drawn").issue(PersonId([1; 16]), DeviceId([2; 16]), seconds_now());
        assert!(Keys::open(&path).expect("read").check(&token).is_ok());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).expect("exists").permissions().mode() & 0o777, 0o600);
        fs::write(&path, b"short").expect("written");
        assert!(matches!(Keys::open(&path), Err(KeyFailure::Damaged)));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
