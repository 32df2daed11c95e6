//! What venvoy can be told to do, each command with a value as its result.

mod auth;
mod cache;
mod check;
mod plan;
mod sync;

pub use self::{
    auth::{AuthRow, auth},
    cache::cache,
    check::{Checked, Difference, check},
    plan::{PlanRow, plan},
    sync::{Outcome, Summary, sync},
};
