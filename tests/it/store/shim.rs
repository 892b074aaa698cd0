//! The shim tests itself: each fault, seen by a program that everybody has.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::{Faults, Proxy};

/// Runs `script`, with the faults, in the folder that is the disk.
fn sh(faults: &Faults, script: &str) -> Output {
    Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(faults.disk().path())
        .envs(faults.env())
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_says(output: &Output, said: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains(said),
        "{stderr}"
    );
}

#[track_caller]
fn assert_works(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

fn dd(bytes: u32, more: &str) -> String {
    format!("dd if=/dev/zero of=file bs={bytes} count=1 {more}")
}

/// Adds a byte to a file.
fn one(file: &str) -> String {
    format!("dd if=/dev/zero of={file} bs=1 count=1 oflag=append conv=notrunc")
}

#[test]
fn a_disk_without_faults_takes_everything() {
    let faults = Faults::none();

    assert_works(&sh(&faults, &dd(9000, "conv=fsync")));
    assert_eq!(faults.used(), 9000);
}

#[test]
fn a_full_disk_takes_nothing_more_and_lets_what_is_there_be_overwritten() {
    let faults = Faults::none();
    faults.capacity(1000);

    let fits = sh(&faults, &dd(1000, ""));
    let beyond = sh(&faults, &one("file"));
    let other = sh(&faults, &one("other"));
    let over = sh(&faults, &dd(1000, "conv=notrunc"));
    let longer = sh(&faults, "truncate -s 1001 file");
    let reserved = sh(&faults, "fallocate -l 1001 file");

    assert_works(&fits);
    assert_works(&over);
    for refused in [beyond, other, longer, reserved] {
        assert_says(&refused, "No space left on device");
    }
    assert_eq!(faults.used(), 1000);
}

#[test]
fn a_full_disk_has_space_again_when_a_file_goes_or_it_grows() {
    let faults = Faults::none();
    assert_works(&sh(&faults, &dd(1000, "")));
    faults.disk_full();

    let full = sh(&faults, &one("other"));
    faults.capacity(1001);
    let grown = sh(&faults, &one("other"));
    faults.capacity(1000);
    let removed = sh(&faults, &format!("rm file && {}", one("other")));

    assert_says(&full, "No space left on device");
    assert_works(&grown);
    assert_works(&removed);
}

#[test]
fn other_folders_are_other_disks() {
    let (faults, elsewhere) = (Faults::none(), Faults::none());
    faults.disk_full();
    faults.write_fails();
    faults.fsync_fails();
    let path: PathBuf = elsewhere.disk().path().join("file");

    let script = format!(
        "dd if=/dev/zero of={} bs=9 count=1 conv=fsync",
        path.display()
    );

    assert_works(&sh(&faults, &script));
}

#[test]
fn writing_fails_until_it_does_not() {
    let faults = Faults::none();
    faults.write_fails();

    let failed = sh(&faults, &dd(10, ""));
    faults.clear();
    let worked = sh(&faults, &dd(10, ""));

    assert_says(&failed, "Input/output error");
    assert_works(&worked);
}

#[test]
fn syncing_fails_after_a_write_that_did_not() {
    let faults = Faults::none();
    faults.fsync_fails();

    let fsync = sh(&faults, &dd(10, "conv=fsync"));
    let fdatasync = sh(&faults, &dd(10, "conv=fdatasync"));
    let neither = sh(&faults, &dd(10, ""));

    assert_says(&fsync, "Input/output error");
    assert_says(&fdatasync, "Input/output error");
    assert_works(&neither);
}

#[test]
fn the_clock_jumps_both_ways() {
    const YEAR: i64 = 365 * 86_400;
    let faults = Faults::none();
    let year = || {
        let output = sh(&faults, "date -u +%Y").stdout;
        String::from_utf8(output)
            .unwrap()
            .trim()
            .parse::<i64>()
            .unwrap()
    };
    let today = year();

    faults.clock_offset(10 * YEAR);
    let later = year();
    faults.clock_offset(-10 * YEAR);
    let earlier = year();

    // Leap days may make it a year less or more around New Year.
    assert!((9..=10).contains(&(later - today)), "{later} {today}");
    assert!((10..=11).contains(&(today - earlier)), "{earlier} {today}");
}

/// The program is linked so that the faults reach it: a static one would pass every test that breaks something.
#[test]
fn the_program_sees_the_clock_that_it_is_given() {
    const YEAR: i64 = 365 * 86_400;
    let faults = Faults::none();
    let setup = faults
        .env()
        .into_iter()
        .fold(Proxy::setup(), |setup, (name, value)| {
            setup.set(name, value)
        });
    faults.clock_offset(10 * YEAR);
    let proxy = setup.start();

    let shifted = year(&proxy);
    let right = year(&Proxy::start(&[]));

    assert!((9..=10).contains(&(shifted - right)), "{shifted} {right}");
}

/// Of the `Date` of an answer.
fn year(proxy: &Proxy) -> i64 {
    let answer = proxy.get("/health");
    let date = answer.header("Date").expect("no Date");
    date.split(' ').nth(3).unwrap().parse().unwrap()
}
