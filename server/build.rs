//! Builds the binary again when the browser app changed: files added to a folder are otherwise not noticed.

fn main() {
    println!("cargo:rerun-if-changed=../pwa/dist");
}
