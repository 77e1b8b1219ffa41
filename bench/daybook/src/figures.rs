//! Figures, their limits, the printed table and the history file. Knows nothing of how they are measured.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Daybook itself, as `subject` of a figure.
pub const DAYBOOK: &str = "daybook";

/// One measured value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// `daybook` or a peer.
    pub subject: String,
    /// The workload.
    pub workload: String,
    /// What was measured, with its unit.
    pub metric: String,
    /// The value; none if it could not be measured.
    pub value: Option<f64>,
    /// A remark: why there is no value, or what the value leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a value must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Limit::AtMost(limit) => value <= limit,
            Limit::AtLeast(limit) => value >= limit,
        }
    }

    fn show(self) -> String {
        match self {
            Limit::AtMost(limit) => format!("≤ {}", number(limit)),
            Limit::AtLeast(limit) => format!("≥ {}", number(limit)),
        }
    }
}

/// The limits that were promised. Metrics without one are shown for information.
pub const LIMITS: &[(&str, &str, Limit)] = &[
    ("reconnect_2000", "round_trips", Limit::AtMost(1.0)),
    ("reconnect_2000", "bytes", Limit::AtMost(5000.0)),
    ("reconnect_2000", "ms", Limit::AtMost(50.0)),
    ("reconnect_2000_idle", "bytes", Limit::AtMost(400.0)),
    ("restart", "first_answer_ms", Limit::AtMost(500.0)),
    ("restart", "documents_rewritten", Limit::AtMost(0.0)),
    ("first_sync_5000", "ms", Limit::AtMost(3000.0)),
    ("first_sync_5000", "bytes", Limit::AtMost(2_500_000.0)),
    ("first_sync_5000", "resumed_twice", Limit::AtMost(0.0)),
    ("commit_50", "changes_per_s", Limit::AtLeast(2000.0)),
    ("commit_50", "ack_p99_ms", Limit::AtMost(60.0)),
    ("return_100", "ms", Limit::AtMost(500.0)),
    ("fanout_1000", "p99_ms", Limit::AtMost(150.0)),
    ("fanout_1000", "bytes_per_socket", Limit::AtMost(65_536.0)),
    ("rest_200k", "resident_mb", Limit::AtMost(200.0)),
    ("pwa", "wasm_brotli_kb", Limit::AtMost(420.0)),
    ("pwa", "js_css_brotli_kb", Limit::AtMost(150.0)),
    ("pwa", "offline_start_ms", Limit::AtMost(2500.0)),
    ("storm_2000", "sync_s", Limit::AtMost(60.0)),
    ("storm_2000", "resident_mib", Limit::AtMost(2048.0)),
    ("slow_readers_100", "p99_ratio", Limit::AtMost(2.0)),
    ("hostile_10", "p99_ratio", Limit::AtMost(2.0)),
    ("preparser_64k", "ms", Limit::AtMost(5.0)),
    ("soak", "minutes", Limit::AtLeast(59.0)),
    ("soak", "resident_mib_per_h", Limit::AtMost(1.0)),
    ("soak", "descriptors_per_h", Limit::AtMost(1.0)),
    ("soak", "with_workers_mib_per_h", Limit::AtMost(1.0)),
    ("soak", "wal_mib", Limit::AtMost(64.0)),
    // What must have happened for the rest to mean something. Of an hour's work of sixty reps half of what they would do
    // if nothing took any time; of hostile frames little, for the server slows their senders down; elsewhere what the
    // workload is about. Canaries: each rep hears those of some customers, each manager of most; where a rep has one phone
    // only those who watch hear them.
    ("soak", "changes_acknowledged", Limit::AtLeast(36_000.0)),
    ("soak", "sockets_cut", Limit::AtLeast(900.0)),
    ("soak", "frames_torn", Limit::AtLeast(900.0)),
    ("soak", "logins", Limit::AtLeast(180.0)),
    ("soak", "workers_killed", Limit::AtLeast(110.0)),
    ("soak", "hostile_frames", Limit::AtLeast(1_000.0)),
    ("soak", "documents_compared", Limit::AtLeast(36_000.0)),
    ("soak", "customers_accepted", Limit::AtLeast(60.0)),
    ("soak", "customers_transferred", Limit::AtLeast(300.0)),
    ("soak", "changes_held", Limit::AtLeast(60.0)),
    ("soak", "devices_revoked", Limit::AtLeast(30.0)),
    ("soak", "canaries_heard", Limit::AtLeast(1_200.0)),
    ("storm_2000", "changes_acknowledged", Limit::AtLeast(2_000.0)),
    ("storm_2000", "customers_accepted", Limit::AtLeast(50.0)),
    ("storm_2000", "customers_transferred", Limit::AtLeast(50.0)),
    ("storm_2000", "canaries_heard", Limit::AtLeast(2_000.0)),
    ("slow_readers_100", "canaries_heard", Limit::AtLeast(40.0)),
    ("hostile_10", "customers_accepted", Limit::AtLeast(20.0)),
    ("hostile_10", "customers_transferred", Limit::AtLeast(20.0)),
    ("hostile_10", "canaries_heard", Limit::AtLeast(190.0)),
    ("slow_readers_100", "slow_still_open", Limit::AtLeast(100.0)),
    ("hostile_10", "hostile_frames", Limit::AtLeast(100.0)),
];

/// Reconnects of other sizes must stay near that of 2,000 documents: bytes within 5 %, time within 1.5×.
const SAME_AS_2000: [(&str, f64); 2] = [("bytes", 1.05), ("ms", 1.5)];

/// Every figure of a run.
#[derive(Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Adds one of Daybook's own.
    pub fn add(&mut self, workload: &str, metric: &str, value: f64) {
        self.push(Figure {
            subject: DAYBOOK.to_owned(),
            workload: workload.to_owned(),
            metric: metric.to_owned(),
            value: Some(value),
            reason: None,
        });
    }

    /// Adds that one of Daybook's own workloads could not be measured.
    pub fn add_failure(&mut self, workload: &str, reason: String) {
        self.push(Figure {
            subject: DAYBOOK.to_owned(),
            workload: workload.to_owned(),
            metric: "failed".to_owned(),
            value: None,
            reason: Some(reason),
        });
    }

    /// Adds a figure and shows it at once.
    pub fn push(&mut self, mut figure: Figure) {
        figure.value = figure.value.map(|value| (value * 100.0).round() / 100.0);
        eprintln!(
            "{:>16} {:<20} {:<26} {:>12} {}",
            figure.subject,
            figure.workload,
            figure.metric,
            figure.value.map_or("–".to_owned(), number),
            figure.reason.as_deref().unwrap_or_default(),
        );
        self.0.push(figure);
    }

    fn value(&self, subject: &str, workload: &str, metric: &str) -> Option<f64> {
        let is_it = |figure: &&Figure| {
            figure.subject == subject && figure.workload == workload && figure.metric == metric
        };
        self.0.iter().find(is_it)?.value
    }

    fn limit(&self, workload: &str, metric: &str) -> Option<Limit> {
        let fixed = LIMITS.iter().find(|(of, metric_of, _)| *of == workload && *metric_of == metric);
        if let Some((_, _, limit)) = fixed {
            return Some(*limit);
        }
        if !["reconnect_500", "reconnect_5000", "reconnect_20000"].contains(&workload) {
            return None;
        }
        let (_, factor) = SAME_AS_2000.iter().find(|(of, _)| *of == metric)?;
        Some(Limit::AtMost(self.value(DAYBOOK, "reconnect_2000", metric)? * factor))
    }

    /// The table: Daybook's value, its limit, and beside them each peer's with the ratio.
    pub fn table(&self) -> String {
        let mut peers: Vec<&str> = Vec::new();
        for figure in &self.0 {
            if figure.subject != DAYBOOK && !peers.contains(&figure.subject.as_str()) {
                peers.push(&figure.subject);
            }
        }
        let mut rows: Vec<(&str, &str)> = Vec::new();
        for figure in &self.0 {
            let row = (figure.workload.as_str(), figure.metric.as_str());
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        let mut lines = vec![];
        let head: Vec<String> = ["workload", "metric", "daybook", "limit", ""]
            .iter()
            .map(|name| (*name).to_owned())
            .chain(peers.iter().map(|peer| (*peer).to_owned()))
            .collect();
        lines.push(format!("| {} |", head.join(" | ")));
        lines.push(format!("|{}", "---|".repeat(head.len())));
        for (workload, metric) in rows {
            let own = self.value(DAYBOOK, workload, metric);
            let limit = self.limit(workload, metric);
            let verdict = match (own, limit) {
                (Some(value), Some(limit)) if limit.holds(value) => "ok",
                (_, Some(_)) => "MISSED",
                (_, None) => "",
            };
            let mut cells = vec![
                workload.to_owned(),
                metric.to_owned(),
                own.map_or("–".to_owned(), number),
                limit.map_or(String::new(), Limit::show),
                verdict.to_owned(),
            ];
            for peer in &peers {
                let theirs = self.value(peer, workload, metric);
                let ratio = own.zip(theirs).filter(|(own, _)| *own > 0.0).map(|(own, theirs)| theirs / own);
                let ratio = ratio
                    .map_or(String::new(), |ratio| format!(" ({}×)", number((ratio * 10.0).round() / 10.0)));
                cells.push(theirs.map_or(String::new(), |value| format!("{}{ratio}", number(value))));
            }
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for figure in &self.0 {
            if let Some(reason) = &figure.reason {
                let metrics = reasons.entry((&figure.subject, reason)).or_default();
                if !metrics.contains(&figure.workload.as_str()) {
                    metrics.push(&figure.workload);
                }
            }
        }
        for ((subject, reason), workloads) in reasons {
            lines.push(format!("\n{subject}, {}: {reason}.", workloads.join(", ")));
        }
        lines.join("\n")
    }

    /// Whether every promised limit whose workload ran was kept.
    pub fn all_kept(&self) -> bool {
        self.0.iter().filter(|figure| figure.subject == DAYBOOK).all(|figure| match figure.value {
            None => false,
            Some(value) => {
                self.limit(&figure.workload, &figure.metric).is_none_or(|limit| limit.holds(value))
            }
        })
    }

    /// Appends every figure that has a value.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append_history(&self, path: &Path, commit: &str, date: &str) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            commit: &'a str,
            date: &'a str,
            subject: &'a str,
            workload: &'a str,
            metric: &'a str,
            value: f64,
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        for figure in &self.0 {
            let Some(value) = figure.value else { continue };
            let Figure { subject, workload, metric, .. } = figure;
            let line = Line { commit, date, subject, workload, metric, value };
            writeln!(file, "{}", serde_json::to_string(&line)?)?;
        }
        Ok(())
    }
}

/// The value that the given share of the values does not exceed.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 {
        let digits = format!("{:.0}", value.abs());
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        if value < 0.0 { format!("-{text}") } else { text }
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_limit_and_a_failed_workload_are_not_kept() {
        let mut figures = Figures::default();
        figures.add("reconnect_2000", "bytes", 4000.0);
        figures.add("reconnect_5000", "bytes", 4100.0);
        assert!(figures.all_kept());
        figures.add("reconnect_20000", "bytes", 4300.0);
        assert!(!figures.all_kept(), "more than 5 % above the bytes of 2,000 documents");
        let mut figures = Figures::default();
        figures.add_failure("restart", "no server".to_owned());
        assert!(!figures.all_kept());
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values, 0.5), 50.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }
}
