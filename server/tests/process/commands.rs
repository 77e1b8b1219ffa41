//! CLI-n: one JSON value on standard output, messages on standard error, success only on success.

use serde_json::json;

use crate::support::{Phone, Server, World, must, path, run};

// CLI-1
#[test]
fn every_command_prints_one_json_value_and_says_no_by_its_status() {
    let world = World::new();
    let people = must(&["user", "list", "--data", path(&world.data())]);
    let names: Vec<_> =
        people.as_array().expect("a list").iter().map(|person| person["name"].clone()).collect();
    assert_eq!(names.len(), 4);
    let refused = run(&["user", "disable", "nobody", "--data", path(&world.data()), "--json"]);
    assert!(!refused.ok());
    assert_eq!(refused.json()["error"]["code"], "person_not_found");
    assert!(
        refused.err().contains("没有") && refused.err().contains("nobody"),
        "both languages: {}",
        refused.err()
    );
}

// CLI-1
#[test]
fn a_second_init_and_a_missing_folder_are_refused() {
    let world = World::new();
    assert!(!run(&["init", "--data", path(&world.data())]).ok());
    let nowhere = world.beside("nowhere");
    let serve = run(&["serve", "--data", path(&nowhere), "--listen", "127.0.0.1:0"]);
    assert!(!serve.ok() && serve.out().is_empty(), "no ready line: {}", serve.out());
}

// CLI-17
#[test]
fn settings_are_shown_and_set_one_by_one() {
    let world = World::new();
    let data = world.data();
    let shown = must(&["settings", "--data", path(&data)]);
    assert_eq!((&shown["position_allowed"], &shown["late_upload_minutes"]), (&json!(true), &json!(60)));
    must(&["settings", "--position-allowed", "false", "--data", path(&data)]);
    must(&["settings", "--late-upload-minutes", "90", "--data", path(&data)]);
    let shown = must(&["settings", "--data", path(&data)]);
    assert_eq!((&shown["position_allowed"], &shown["late_upload_minutes"]), (&json!(false), &json!(90)));
    assert!(!run(&["settings", "--late-upload-minutes", "0", "--data", path(&data)]).ok());
}

// CLI-2
#[test]
fn a_name_is_taken_once_and_a_short_password_is_refused() {
    let world = World::new();
    let data = world.data();
    let again =
        run(&["user", "add", "王", "--role", "rep", "--team", "一组", "--data", path(&data), "--json"]);
    assert!(!again.ok());
    assert_eq!(again.json()["error"]["code"], "name_taken");
    let mut short = crate::support::binary();
    let arguments = ["user", "add", "孙", "--role", "rep", "--data", path(&data), "--json"];
    let short = short.args(arguments).env("DAYBOOK_PASSWORD", "short").output().expect("runs");
    assert!(!short.status.success());
}

// CLI-5
#[test]
fn one_server_at_a_time_runs_on_a_folder_and_a_signal_ends_it_well() {
    let mut world = World::running();
    let second = run(&["serve", "--data", path(&world.data()), "--listen", "127.0.0.1:0"]);
    assert!(!second.ok());
    assert!(world.server.take().expect("running").stop());
    let again = Server::start(&world.data(), &[]);
    assert!(again.stop());
}

// CLI-7
#[test]
fn a_phone_works_without_a_login_only_where_it_can_and_says_what_is_missing() {
    let world = World::new();
    let phone = Phone { dir: world.beside("fresh") };
    let sync = phone.run(&["sync"]);
    assert!(!sync.ok());
    assert_eq!(sync.json()["error"]["code"], "login_needed");
    let show = phone.run(&["customer", "show", "nobody"]);
    assert_eq!(show.json()["error"]["code"], "customer_not_found");
    let without_dir = run(&["device", "pending", "--json"]);
    assert_eq!(without_dir.json()["error"]["code"], "dir_missing");
}
