//! Whether the kernel's verifier takes the programs of a recording, all of them as they are.

use std::sync::atomic::AtomicBool;

use map_trace_common::settings::Settings;

use crate::kernel::object::{self, Object, ObjectError};
use crate::kernel::support::{Context, Finding};
use crate::kernel::{kfunc, offsets};

pub(in crate::kernel) fn programs(context: &Context) -> Finding {
    let Ok(btf) = &context.btf else {
        return Finding::missing("unknown without BTF").fix("see btf");
    };
    let mut settings = Settings::UNKNOWN;
    offsets::fill(btf, &mut settings);
    kfunc::find(btf, &mut settings);
    let types = object::tracepoint_types(btf);
    let load = |settings: &Settings| -> Result<(), ObjectError> {
        let mut object = Object::load(settings)?;
        object.load_programs(&types, (Vec::new(), &AtomicBool::new(false)), |_| ())
    };
    let loaded = load(&settings).or_else(|why| {
        if settings.word_function == 0 {
            return Err(why);
        }
        // As a recording does: once more without a function of the kernel in them.
        settings.word_function = 0;
        load(&settings)
    });
    match loaded {
        Ok(()) => Finding::ok("the verifier takes all of them"),
        Err(why) => {
            let fix = if context.privilege.lacking().is_empty() {
                "report this kernel as not supported"
            } else {
                "see privilege"
            };
            Finding::missing(why.to_string()).fix(fix)
        }
    }
}
