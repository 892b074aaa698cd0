//! A wire that remembers whether anything was asked over it: a backend that finds nothing wrong without a question has
//! shown nothing.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::backends::Wire;
use crate::backends::wire::{Answer, Call, WireError};

pub(super) struct Asked<'w> {
    wire: &'w dyn Wire,
    is_used: Cell<bool>,
}

impl<'w> Asked<'w> {
    pub(super) fn of(wire: &'w dyn Wire) -> Self {
        Self {
            wire,
            is_used: Cell::new(false),
        }
    }

    pub(super) fn anything(&self) -> bool {
        self.is_used.get()
    }
}

impl Wire for Asked<'_> {
    fn call<'a>(&'a self, call: Call<'a>) -> LocalBoxFuture<'a, Result<Answer, WireError>> {
        self.is_used.set(true);
        self.wire.call(call)
    }

    fn print(&self, line: String) -> LocalBoxFuture<'_, std::io::Result<()>> {
        self.wire.print(line)
    }

    fn elapsed(&self) -> Duration {
        self.wire.elapsed()
    }
}
