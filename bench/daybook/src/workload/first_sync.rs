//! `first_sync_5000`: everything to a new phone, in one go and cut in the middle.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{REP, Seeded, connect};
use crate::figures::{Figures, percentile};
use crate::phone::Phone;

const DOCUMENTS: usize = 5000;
const ROUNDS: usize = 5;

/// Measures it.
///
/// # Errors
/// If the server fails or refuses.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let seeded = Seeded::new(binary, DOCUMENTS).await?;
    let (mut times, mut bytes, mut pages) = (Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let (phone, caught) = seeded.second_phone().await?;
        ensure!(
            phone.held() == DOCUMENTS && caught.snapshots == DOCUMENTS,
            "{} documents came",
            phone.held()
        );
        ensure!(phone.digest() == seeded.writer.digest(), "the phones differ");
        times.push(caught.ms);
        bytes = bytes.max(caught.count.bytes);
        pages = pages.max(caught.pages);
    }
    let mut phone = Phone::new(&seeded.server.address, REP).await?;
    let ticket = phone.account.ticket(&seeded.server.address).await?;
    let first = phone.catch_up_in_part(&seeded.server.address, ticket, pages / 2).await?;
    let rest = connect(&mut phone, &seeded.server).await?;
    phone.hang_up().await;
    ensure!(phone.held() == DOCUMENTS, "{} documents came in two parts", phone.held());
    ensure!(phone.digest() == seeded.writer.digest(), "the phones differ after a cut");
    let earlier: HashSet<_> = first.documents.iter().collect();
    let twice = rest.documents.iter().filter(|doc| earlier.contains(doc)).count();
    figures.add("first_sync_5000", "ms", percentile(&times, 0.5));
    figures.add("first_sync_5000", "bytes", bytes as f64);
    figures.add("first_sync_5000", "pages", pages as f64);
    figures.add("first_sync_5000", "resumed_twice", twice as f64);
    figures.add("first_sync_5000", "resumed_bytes", (first.count.bytes + rest.count.bytes) as f64);
    Ok(())
}
