//! One JSON line a figure; bounds on time; quantiles. Knows nothing of the peer.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

/// A workload's measured part may take this long.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Its preparation may take this long.
pub const PREPARATION_LIMIT: Duration = Duration::from_secs(120);

/// Prints a figure.
pub fn report(workload: &str, metric: &str, value: f64) {
    report_because(workload, metric, json!((value * 100.0).round() / 100.0), None);
}

/// Prints a figure, or its absence, with a remark.
pub fn report_because(workload: &str, metric: &str, value: Value, reason: Option<&str>) {
    let mut line = json!({ "subject": "samod", "workload": workload, "metric": metric, "value": value });
    if let Some(reason) = reason {
        line["reason"] = json!(reason);
    }
    println!("{line}");
}

/// Ends a future that takes too long.
pub async fn bounded<T>(limit: Duration, what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| anyhow!("{what}: more than {} s", limit.as_secs()))?
}

/// The value that the given share of the values does not exceed.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}
