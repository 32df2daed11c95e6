//! What venvoy can be told to do, each command with a value as its result.

mod auth;
mod cache;
mod change;
mod check;
mod diff;
mod doctor;
mod fresh;
mod graph;
mod pack;
mod plan;
mod relay;
mod requirements;
pub mod run;
mod sync;
mod verify;
mod warm;
mod why;

pub use self::{
    auth::{AuthRow, auth},
    cache::cache,
    change::{Change, Changes, Foreseen, foresee},
    check::{Checked, Difference, check, keep_python},
    diff::{Changed, Differences, diff},
    doctor::{Section, doctor},
    fresh::{Freshness, freshness},
    graph::{Graph, Tree},
    pack::{Packed, pack},
    plan::{PlanRow, plan},
    requirements::requirements,
    sync::{Outcome, Summary, sync},
    verify::{Verified, verify},
    warm::{Warmed, warm},
    why::{Why, asked_extras, why},
};
