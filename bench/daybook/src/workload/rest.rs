//! `rest_200k`: what the server's process holds in memory when nothing happens.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Keep, connect, write_documents};
use crate::figures::Figures;
use crate::phone::Phone;
use crate::server::{Role, Site};

const REPS: usize = 10;
const CUSTOMERS_EACH: usize = 1_200;
const VISITS_EACH: usize = 18_800;
const MIB: f64 = 1024.0 * 1024.0;

/// Ten reps write 200,000 documents; then the server rests, and is started again.
///
/// # Errors
/// If the server fails or refuses.
pub async fn run(binary: &Path, figures: &mut Figures) -> Result<()> {
    let site = Site::new(binary).await?;
    for rep in 0..REPS {
        site.add(&format!("rep{rep}"), Role::Rep).await?;
    }
    let server = site.serve().await?;
    let begun = Instant::now();
    let mut writing = Vec::new();
    for rep in 0..REPS {
        let address = server.address.clone();
        let mut phone = Phone::new(&address, &format!("rep{rep}")).await?;
        connect(&mut phone, &server).await?;
        writing.push(tokio::spawn(async move {
            write_documents(&mut phone, CUSTOMERS_EACH, VISITS_EACH, Keep::Nothing).await?;
            phone.hang_up().await;
            anyhow::Ok(())
        }));
    }
    for task in writing {
        task.await??;
    }
    let documents = (REPS * (CUSTOMERS_EACH + VISITS_EACH)) as f64;
    figures.add("rest_200k", "written_per_s", documents / begun.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(30)).await;
    figures.add("rest_200k", "resident_mb", server.resident_bytes()? as f64 / MIB);
    figures.add("rest_200k", "resident_with_workers_mb", server.resident_bytes_with_workers()? as f64 / MIB);
    server.stop().await?;
    let size: u64 = std::fs::read_dir(site.data())?
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|file| file.len())
        .sum();
    figures.add("rest_200k", "disk_mb", size as f64 / MIB);
    let server = site.serve().await?;
    figures.add("rest_200k", "start_ms", crate::phone::milliseconds(server.started.elapsed()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    figures.add("rest_200k", "resident_after_start_mb", server.resident_bytes()? as f64 / MIB);
    server.stop().await
}
