//! Probes in this very program: they are hit, counted and gone.

use std::time::{Duration, Instant};

use map_trace_common::record::kind;

use super::*;
use crate::kernel::totals::Totals;
use map_trace_common::settings::Settings;

#[inline(never)]
extern "C" fn probed(n: u64) -> u64 {
    std::hint::black_box(n.wrapping_mul(3))
}

/// Where the function is in the file of this very program.
fn file_offset(address: u64) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let vmas = maps.lines().map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        (hex(start)..hex(end), hex(words.nth(1).unwrap()))
    });
    let mut around = vmas.filter(|(vma, _)| vma.contains(&address));
    let (vma, offset) = around.next().unwrap();
    address - vma.start + offset
}

fn counted(object: &Object) -> u64 {
    Totals::read(object).unwrap().kinds[kind::ITERATION as usize].counted
}

fn object() -> Object {
    let mut settings = Settings::UNKNOWN;
    settings.detail = 1;
    let mut object = Object::load(&settings).unwrap();
    object
        .register_running(std::process::id(), &(0..0))
        .unwrap();
    object
}

fn wanted() -> Wanted {
    Wanted {
        file_offset: file_offset(probed as *const () as u64),
        place: Place {
            kind: kind::ITERATION,
            role: 7,
            ..Place::default()
        },
    }
}

#[test]
fn hits_are_counted_by_links_and_by_perf_events_and_end_with_them() {
    for by_events in [false, true] {
        let mut object = object();
        let mut uprobes = Uprobes::prepare(&object);
        if by_events {
            set(&mut object, "PLACES", 0, wanted().place).unwrap();
            let events = uprobes
                .structure
                .events("/proc/self/exe", &[wanted().file_offset], 0)
                .unwrap();
            uprobes.held.push((0, Held::Events(events)));
        } else {
            uprobes
                .attach(&mut object, Path::new("/proc/self/exe"), &[wanted()])
                .unwrap();
        }
        for n in 0..1000 {
            probed(n);
        }
        assert_eq!(counted(&object), 1000, "by events: {by_events}");
        drop(uprobes);
        probed(1);
        assert_eq!(counted(&object), 1000, "by events: {by_events}");
    }
}

#[test]
fn many_probes_come_and_go_quickly() {
    let mut object = object();
    let mut uprobes = Uprobes::prepare(&object);
    let many = vec![wanted(); 1];
    let start = Instant::now();
    for _ in 0..30 {
        uprobes
            .attach(&mut object, Path::new("/proc/self/exe"), &many)
            .unwrap();
    }
    assert_eq!(uprobes.places, 30);
    drop(uprobes);
    // One at a time it is some 200 ms each; this bound is for a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn more_places_than_there_is_room_for_are_refused() {
    let mut object = object();
    let mut uprobes = Uprobes::prepare(&object);
    let many = vec![wanted(); MAX_PLACES as usize + 1];
    let refused = uprobes.attach(&mut object, Path::new("/proc/self/exe"), &many);
    assert!(matches!(refused, Err(UprobeError::Full(_))));
    assert_eq!(counted(&object), 0);
}
