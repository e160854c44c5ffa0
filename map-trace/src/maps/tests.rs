//! Stacks and what they are charged to.

use super::*;

/// `f@loop` stands in a loop over a map, `f@store` stores the value of an assign.
fn judged(tables: &Tables, names: &[&str]) -> (String, Option<String>) {
    let frames: Vec<Frame> = names
        .iter()
        .map(|name| name.split_once('@').unwrap_or((*name, "")))
        .map(|(name, mark)| Frame {
            function: (name != "?").then(|| name.to_owned()),
            in_loop: mark == "loop",
            value_store: mark == "store",
            module: name.starts_with("__vdso").then(|| "[vdso]".to_owned()),
            ..Frame::default()
        })
        .collect();
    let found = tables.attribute(&frames);
    let word = |o: Operation| o.word().to_owned();
    (word(found.operation), found.sub_operation.map(word))
}

fn words(operation: &str, sub: Option<&str>) -> (String, Option<String>) {
    (operation.to_owned(), sub.map(str::to_owned))
}

#[test]
fn stacks_are_charged_as_the_contract_says() {
    let tables = Tables::default();
    for (stack, operation, sub) in [
        (
            &["runtime.mapassign_fast64", "main.f", "main.main"][..],
            "assign",
            None,
        ),
        (
            &[
                "runtime.evacuate_fast64",
                "runtime.growWork_fast64",
                "runtime.mapassign_fast64",
                "main.f",
            ],
            "assign",
            Some("grow"),
        ),
        (
            &[
                "runtime.evacuate",
                "runtime.growWork",
                "runtime.mapdelete",
                "main.f",
            ],
            "delete",
            Some("grow"),
        ),
        (
            &[
                "runtime.memclrNoHeapPointers",
                "internal/runtime/maps.(*table).reset",
                "internal/runtime/maps.newTable",
                "internal/runtime/maps.(*table).split",
                "internal/runtime/maps.(*table).rehash",
                "runtime.mapassign_fast64",
                "main.f",
            ],
            "assign",
            Some("grow"),
        ),
        (
            &[
                "runtime.newstack",
                "runtime.morestack",
                "runtime.mapassign",
                "main.f",
            ],
            "runtime",
            None,
        ),
        (
            &[
                "runtime.gcAssistAlloc",
                "runtime.mallocgc",
                "runtime.hashGrow",
                "runtime.mapassign",
                "main.f",
            ],
            "runtime",
            None,
        ),
        (
            &["runtime.gcAssistAlloc", "runtime.mallocgc", "main.f"],
            "runtime",
            None,
        ),
        (
            &[
                "runtime.scanobject",
                "runtime.gcDrain",
                "runtime.gcBgMarkWorker",
                "runtime.goexit",
            ],
            "runtime",
            None,
        ),
        (
            &["runtime.mallocgc", "runtime.main", "runtime.goexit"],
            "runtime",
            None,
        ),
        (
            &[
                "runtime.mallocgc",
                "main.f",
                "runtime.main",
                "runtime.goexit",
            ],
            "none",
            None,
        ),
        (
            &[
                "runtime.persistentalloc",
                "runtime.mstart",
                "crosscall1",
                "threadentry",
                "start_thread",
                "clone3",
            ],
            "runtime",
            None,
        ),
        (&["start_thread", "clone3"], "none", None),
        (
            &["__vdso_clock_gettime", "runtime.nanotime1"],
            "runtime",
            None,
        ),
        (&["runtime.mallocgc", "?"], "none", None),
        (&["?"], "none", None),
        (&[], "none", None),
        (&["main.f", "sync.(*Map).Range", "main.g"], "iterate", None),
        (
            &["runtime.mapassign", "main.f", "sync.(*Map).Range", "main.g"],
            "iterate",
            Some("assign"),
        ),
        (
            &[
                "<std::collections::hash::map::HashMap<u64, u64>>::insert",
                "x::main",
            ],
            "assign",
            None,
        ),
        (
            &[
                "hashbrown::raw::RawTable<T,A>::reserve_rehash",
                "std::collections::hash::map::HashMap<K,V,S>::insert",
            ],
            "assign",
            Some("grow"),
        ),
        (
            &["std::map<int, int>::operator[](int const&)", "main"],
            "assign",
            None,
        ),
        (&["malloc", "main", "__libc_start_main"], "none", None),
    ] {
        assert_eq!(judged(&tables, stack), words(operation, sub), "{stack:?}");
    }
}

#[test]
fn a_loop_and_a_store_are_operations_inside_their_function() {
    let region = Region::parse("hot=main.hot").unwrap();
    let tables = Tables::new(Vec::new(), &[region]);
    for (stack, operation, sub) in [
        (
            &["mprotect", "main.f@loop", "main.main"][..],
            "iterate",
            None,
        ),
        (&["main.f@loop"], "iterate", None),
        (
            &["runtime.mapassign", "main.f@loop", "main.main"],
            "iterate",
            Some("assign"),
        ),
        (&["main.f", "sync.(*Map).Range@loop"], "iterate", None),
        (&["main.hot@loop", "main.main"], "hot", Some("iterate")),
        (&["main.hot", "main.f@loop"], "iterate", Some("hot")),
        (&["runtime.memmove", "main.f@store"], "assign", None),
        (&["main.f@store", "main.g@loop"], "iterate", Some("assign")),
        // The runtime's own work stays what it is.
        (
            &["runtime.gcAssistAlloc", "runtime.mallocgc", "main.f@loop"],
            "runtime",
            None,
        ),
    ] {
        assert_eq!(judged(&tables, stack), words(operation, sub), "{stack:?}");
    }
}

#[test]
fn the_runtimes_own_work_stays_its_own_whoever_called() {
    let sure = |tables: &Tables, names: &[&str]| {
        let frames: Vec<Frame> = names
            .iter()
            .map(|name| Frame {
                function: Some((*name).to_owned()),
                ..Frame::default()
            })
            .collect();
        tables.is_runtime_for_sure(&frames)
    };
    let tables = Tables::default();
    assert!(sure(
        &tables,
        &["runtime.mmap", "runtime.newstack", "runtime.morestack"]
    ));
    assert!(!sure(&tables, &["runtime.mmap", "runtime.systemstack"]));
    assert!(!sure(&tables, &["runtime.mapassign", "runtime.newstack"]));
    let regions = [Region::parse("hot=main.hot").unwrap()];
    let tables = Tables::new(Vec::new(), &regions);
    assert!(!sure(&tables, &["runtime.newstack"]));
}

#[test]
fn a_region_counts_like_an_operation_and_is_never_hidden_by_the_runtime() {
    let region = |text| Region::parse(text).unwrap();
    let regions = [
        region("hot=main.hot*"),
        region("hash=main.hash"),
        region("all=runtime.mapassign"),
    ];
    let tables = Tables::new(Vec::new(), &regions);
    for (stack, operation, sub) in [
        (
            &["runtime.mapaccess1", "main.hotLoop", "main.main"][..],
            "hot",
            Some("access"),
        ),
        (
            &["main.hash", "runtime.mapaccess1", "main.main"],
            "access",
            Some("hash"),
        ),
        (
            &["runtime.newstack", "runtime.morestack", "main.hotLoop"],
            "hot",
            Some("runtime"),
        ),
        (
            &["runtime.newstack", "runtime.mapdelete", "main.hotLoop"],
            "hot",
            Some("runtime"),
        ),
        (&["runtime.mapassign", "main.main"], "all", Some("assign")),
        (&["main.hotLoop"], "hot", None),
    ] {
        assert_eq!(judged(&tables, stack), words(operation, sub), "{stack:?}");
    }
}

#[test]
fn a_users_row_wins_over_a_built_in_one() {
    let rows = |pattern, operation| vec![(Glob::new(pattern), operation)];
    for pattern in ["runtime.mapassign", "runtime.map*", "*assign"] {
        let tables = Tables::new(rows(pattern, Operation::Clear), &[]);
        assert_eq!(
            tables.operation("runtime.mapassign"),
            Some(Operation::Clear),
            "{pattern}"
        );
    }
    let tables = Tables::new(rows("my::Cache::put*", Operation::Assign), &[]);
    assert_eq!(
        tables.operation("my::Cache<u64>::put_all::<T>"),
        Some(Operation::Assign)
    );
    assert_eq!(
        tables.operation("runtime.mapassign"),
        Some(Operation::Assign)
    );
}
