//! Go's runtime at its own work, also when a map operation set it off: an assign that has to help the
//! garbage collector, or that moves its goroutine to a larger stack, is not doing that to the map.
//!
//! No row may name a function that calls user code (finalizers, deferred functions, map hashers).

use super::Table;
use crate::model::Operation::Runtime;

pub(super) static TABLE: Table = Table {
    library: "Go runtime",
    rows: &[
        // Garbage collection: start, workers, assists, roots, barriers, the pauses around it.
        ("runtime.gcStart*", Runtime),
        ("runtime.gcBg*", Runtime),
        ("runtime.gcMark*", Runtime),
        ("runtime.gcDrain*", Runtime),
        ("runtime.gcAssistAlloc*", Runtime),
        ("runtime.gcParkAssist", Runtime),
        ("runtime.gcFlushBgCredit", Runtime),
        ("runtime.gcResetMarkState*", Runtime),
        ("runtime.gcSweep", Runtime),
        ("runtime.gcWriteBarrier*", Runtime),
        ("runtime.gcmarknewobject", Runtime),
        ("runtime.wbBufFlush*", Runtime),
        ("runtime.forcegchelper", Runtime),
        ("runtime.markroot*", Runtime),
        ("runtime.greyobject", Runtime),
        ("runtime.scanblock", Runtime),
        ("runtime.scanstack*", Runtime),
        ("runtime.scanConservative", Runtime),
        ("runtime.scan?bject*", Runtime),
        ("runtime.(*gcWork).*", Runtime),
        ("runtime.(*gcControllerState).*", Runtime),
        ("runtime.stopTheWorld*", Runtime),
        ("runtime.startTheWorld*", Runtime),
        ("runtime.forEachP*", Runtime),
        // Sweeping, also the share an allocation has to do first.
        ("runtime.bgsweep", Runtime),
        ("runtime.sweepone*", Runtime),
        ("runtime.finishsweep_m", Runtime),
        ("runtime.deductSweepCredit", Runtime),
        ("runtime.(*sweepLocked).sweep*", Runtime),
        ("runtime.(*mheap).reclaim*", Runtime),
        ("runtime.freeStackSpans", Runtime),
        // Giving memory back.
        ("runtime.bgscavenge", Runtime),
        ("runtime.(*scavengerState).*", Runtime),
        ("runtime.(*pageAlloc).scavenge*", Runtime),
        ("runtime.(*mheap).scavengeAll", Runtime),
        // Stacks growing, shrinking, being given out.
        ("runtime.morestack*", Runtime),
        ("runtime.newstack", Runtime),
        ("runtime.copystack", Runtime),
        ("runtime.shrinkstack", Runtime),
        ("runtime.stackalloc", Runtime),
        ("runtime.stackfree", Runtime),
        ("runtime.stackcache*", Runtime),
        ("runtime.stackpool*", Runtime),
        // The scheduler and its threads.
        ("runtime.schedule", Runtime),
        ("runtime.findRunnable", Runtime),
        ("runtime.stealWork", Runtime),
        ("runtime.mcall", Runtime),
        ("runtime.park_m", Runtime),
        ("runtime.gopark*", Runtime),
        ("runtime.goschedImpl", Runtime),
        ("runtime.gosched_m", Runtime),
        ("runtime.gopreempt_m", Runtime),
        ("runtime.preempt*", Runtime),
        ("runtime.asyncPreempt*", Runtime),
        ("runtime.execute", Runtime),
        ("runtime.stopm", Runtime),
        ("runtime.startm", Runtime),
        ("runtime.newm*", Runtime),
        ("runtime.handoffp", Runtime),
        ("runtime.wakep", Runtime),
        ("runtime.retake", Runtime),
        ("runtime.sysmon*", Runtime),
        ("runtime.netpoll*", Runtime),
        // Timers.
        ("runtime.checkTimers*", Runtime),
        ("runtime.runtimer", Runtime),
        ("runtime.runOneTimer", Runtime),
        ("runtime.(*timers).*", Runtime),
        // Signals taken for the runtime (preemption) or on their way to a panic.
        ("runtime.sigtramp*", Runtime),
        ("runtime.sighandler", Runtime),
        ("runtime.doSigPreempt", Runtime),
        ("runtime.sigreturn*", Runtime),
        // Start-up.
        ("runtime.rt0_go", Runtime),
        ("runtime.schedinit", Runtime),
        ("runtime.mallocinit", Runtime),
        ("runtime.gcinit", Runtime),
        ("runtime.modulesinit", Runtime),
        ("runtime.mstart*", Runtime),
    ],
};
