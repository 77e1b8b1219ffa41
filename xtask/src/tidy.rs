//! The repository's own rules, each with its cure in the message.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

const LINES_MAX: usize = 800;

/// Checks every rule and names all that is broken.
///
/// # Errors
/// If any rule is broken.
pub fn check(root: &Path) -> Result<()> {
    let files = tracked_files(root)?;
    let mut complaints = Vec::new();
    for file in &files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let name = file.to_string_lossy();
        if is_source(&name) {
            check_source(&name, &text, &mut complaints);
        }
        if name.ends_with("/src/lib.rs") {
            check_module_order(root, file, &text, &mut complaints);
        }
    }
    check_rules_are_cited(root, &files, &mut complaints)?;
    if complaints.is_empty() {
        return Ok(());
    }
    complaints.sort();
    bail!("tidy:\n  {}", complaints.join("\n  "))
}

fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

fn is_source(name: &str) -> bool {
    let code = [".rs", ".ts", ".svelte", ".mjs", ".js", ".sh"].iter().any(|ending| name.ends_with(ending));
    code && !name.contains("/generated/") && name != "xtask/src/tidy.rs"
}

fn check_source(name: &str, text: &str, complaints: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        complaints.push(format!("{name}: {lines} lines; split it by subject (at most {LINES_MAX})"));
    }
    for (word, cure) in [
        ("todo!(", "write the code"),
        ("unimplemented!(", "write the code"),
        ("dbg!(", "remove the print"),
        ("#[ignore", "make the test run, or remove it"),
        ("test.skip(", "make the test run, or remove it"),
        ("test.only(", "let all tests run"),
        ("thread::sleep", "wait for the event itself; sleep is no synchronization"),
    ] {
        for (index, line) in text.lines().enumerate() {
            let allowed = line.contains("tidy: allow") || line.trim_start().starts_with("//");
            if line.contains(word) && !allowed {
                complaints.push(format!("{name}:{}: `{word}`: {cure}", index + 1));
            }
        }
    }
    let first = text.lines().next().unwrap_or_default();
    if name.ends_with(".rs") && !first.starts_with("//!") && !first.starts_with("#!") {
        complaints
            .push(format!("{name}:1: begin with `//!`: what the file is for and what it does not know"));
    }
}

/// A module of a crate uses only modules that stand above it in `lib.rs`, so circles cannot appear.
fn check_module_order(root: &Path, lib: &Path, text: &str, complaints: &mut Vec<String>) {
    let modules: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix("mod ")
        })
        .filter_map(|rest| rest.strip_suffix(';'))
        .collect();
    let folder = lib.parent().expect("a file has a folder");
    for (place, module) in modules.iter().enumerate() {
        let mut files = Vec::new();
        collect(&root.join(folder).join(module), &mut files);
        files.push(root.join(folder).join(format!("{module}.rs")));
        files.retain(|file| !is_test_module(file.strip_prefix(root.join(folder)).unwrap_or(file)));
        for file in files {
            let Ok(source) = fs::read_to_string(&file) else { continue };
            for later in &modules[place + 1..] {
                let uses = source.split("#[cfg(test)]").next().unwrap_or_default().lines().any(|line| {
                    !line.trim_start().starts_with("//") && line.contains(&format!("crate::{later}::"))
                });
                if uses {
                    let shown = file.strip_prefix(root).unwrap_or(&file).display();
                    complaints.push(format!(
                        "{shown}: uses `{later}`, which stands below `{module}` in {}; turn the dependency round",
                        lib.display()
                    ));
                }
            }
        }
    }
}

/// Modules of tests stand above everything: they may use what they test with.
fn is_test_module(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every rule of the specification is cited by at least one test or by the code that keeps it.
fn check_rules_are_cited(root: &Path, files: &[PathBuf], complaints: &mut Vec<String>) -> Result<()> {
    let spec = fs::read_to_string(root.join("docs/spec.md"))?;
    let rules = spec.lines().filter_map(|line| {
        let rule = line.trim_start_matches(['-', '*', ' ']).split(['*', ' ', ':', '.', '.']).next()?;
        let (area, number) = rule.split_once('-')?;
        let named = area.len() >= 2 && area.bytes().all(|byte| byte.is_ascii_uppercase());
        (named && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty())
            .then(|| rule.to_owned())
    });
    let mut sources = String::new();
    for file in files.iter().filter(|file| is_source(&file.to_string_lossy())) {
        sources.push_str(&fs::read_to_string(root.join(file)).unwrap_or_default());
    }
    for rule in rules {
        // In a comment as `CL-3`, or in the name of a test as `cl_3_…`.
        let in_a_name = format!("fn {}_", rule.to_lowercase().replace('-', "_"));
        let cited = sources
            .match_indices(&rule)
            .any(|(at, _)| !sources[at + rule.len()..].starts_with(|next: char| next.is_ascii_digit()));
        if !cited && !sources.contains(&in_a_name) {
            complaints
                .push(format!("docs/spec.md: {rule} is cited nowhere; name it in the test that shows it"));
        }
    }
    Ok(())
}
