//! What venvoy can be told to do, each command with a value as its result.

mod auth;
mod bring;
mod cache;
mod change;
mod check;
mod diff;
mod doctor;
mod extensions;
mod fresh;
mod graph;
mod image;
mod pack;
mod plan;
mod relay;
mod requirements;
pub(crate) mod run;
mod site;
mod sync;
mod verify;
mod warm;
mod why;

pub(crate) use self::{
    auth::{AuthRow, auth},
    cache::cache,
    change::{Changes, Foreseen, foresee},
    check::{Checked, Difference, check, keep_python},
    diff::diff,
    doctor::doctor,
    fresh::{Freshness, freshness, made_with},
    graph::Graph,
    pack::{Packed, pack},
    plan::{PlanRow, plan},
    requirements::requirements,
    sync::{Outcome, Summary, sync},
    verify::{Verified, verify},
    warm::{Warmed, warm},
    why::{asked_extras, why},
};
