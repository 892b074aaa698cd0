//! tmp

mod checker;
mod model;
mod roll;
mod seeded;
