//! The server's settings of operation, as opposed to the organisation's (`shared::settings`): from a file,
//! then the environment, then flags, each stronger than the one before.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

/// The name of the configuration file inside the data folder.
pub const FILE_NAME: &str = "daybook.toml";

/// How this server is operated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: String,
    /// Origins besides the server's own from which browsers may call, such as `https://crm.example.com`.
    /// Needed only where a proxy changes the `Host` header.
    pub origins: Vec<String>,
    /// Whether browsers reach the server by https, so that cookies are marked `Secure`.
    pub https: bool,
    /// The header in which a trusted proxy puts the caller's address, such as `x-real-ip`.
    pub address_header: Option<String>,
    /// Login attempts a minute for one name.
    pub login_per_minute_by_name: NonZeroU32,
    /// Login attempts a minute from one address. An office shares one address.
    pub login_per_minute_by_address: NonZeroU32,
    /// Connections at once. Each idle socket is about 40 KiB: 5,000 are 200 MB.
    pub connections_max: usize,
    /// Admission workers; one a processor, at most four, where nothing is said. Each judges one document at a
    /// time.
    pub workers: Option<usize>,
    /// Milliseconds of silence that a new connection may keep.
    pub first_byte_ms: u64,
    /// Milliseconds from the beginning of a request's head to its end, and between two requests.
    pub head_ms: u64,
    /// Milliseconds that a new socket may take for its hello.
    pub hello_ms: u64,
    /// Milliseconds of silence that a socket may keep. The phone sends a ping after 25 s of silence: three may
    /// get lost.
    pub silence_ms: u64,
    /// What is logged, in the syntax of tracing's filter.
    pub log: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8480".to_owned(),
            origins: Vec::new(),
            https: false,
            address_header: None,
            login_per_minute_by_name: NonZeroU32::new(30).expect("not zero"),
            login_per_minute_by_address: NonZeroU32::new(1_200).expect("not zero"),
            connections_max: 5_000,
            workers: None,
            first_byte_ms: 10_000,
            head_ms: 15_000,
            hello_ms: 10_000,
            silence_ms: 90_000,
            log: "info".to_owned(),
        }
    }
}

/// Settings given on the command line.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Flags {
    /// See [`Config::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

impl Config {
    /// Reads the settings: `file`, else `daybook.toml` in the data folder where there is one; then variables
    /// such as `DAYBOOK_LISTEN`; then flags.
    ///
    /// # Errors
    /// A file that was named and is not there; a value of the wrong kind; an unknown setting in the file.
    pub fn read(data: &Path, file: Option<&Path>, flags: &Flags) -> Result<Config, Box<figment::Error>> {
        let file: PathBuf = file.map_or_else(|| data.join(FILE_NAME), Path::to_owned);
        Self::from_sources(&file, flags)
    }

    fn from_sources(file: &Path, flags: &Flags) -> Result<Config, Box<figment::Error>> {
        // `DAYBOOK_PASSWORD` and `DAYBOOK_DIR` are no settings of the server.
        let defaults = serde_json::to_value(Config::default()).expect("plain values");
        let names: Vec<&str> =
            defaults.as_object().into_iter().flat_map(|fields| fields.keys()).map(String::as_str).collect();
        Figment::from(Serialized::defaults(Config::default()))
            .merge(Toml::file(file))
            .merge(Env::prefixed("DAYBOOK_").only(&names))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-3
    #[test]
    fn a_flag_is_stronger_than_the_file_and_the_file_than_the_default() {
        let path = std::env::temp_dir().join(format!("daybook-{:?}.toml", crate::clock::random::<8>()));
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\nworkers = 7\n").expect("written");
        let from_file = Config::from_sources(&path, &Flags::default()).expect("reads");
        assert_eq!((from_file.listen.as_str(), from_file.workers), ("127.0.0.1:1", Some(7)));
        let flags = Flags { listen: Some("127.0.0.1:2".to_owned()) };
        assert_eq!(Config::from_sources(&path, &flags).expect("reads").listen, "127.0.0.1:2");
        std::fs::write(&path, "lisen = \"127.0.0.1:1\"\n").expect("written");
        assert!(Config::from_sources(&path, &Flags::default()).is_err(), "a typing error is not ignored");
        std::fs::remove_file(&path).expect("removed");
    }
}
