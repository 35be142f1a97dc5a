//! Several windows at once.
//!
//! A compensated sum, or a mean that is corrected value by value, must be computed in order, and
//! each step waits for the one before. Windows of different steps do not wait for each other: four
//! of them side by side keep a processor busy, and each comes out as it would alone.

use crate::select::Spans;

/// How many windows are computed side by side.
const LANES: usize = 4;

/// Computes something of every window of `shortest` samples or more. `begin` tells what it starts
/// with, given the step and the index of the first sample; `take` takes the sample with an index
/// in; `finish` gets the step and what came of it.
pub(crate) fn each_window<S: Copy>(
    spans: &Spans,
    shortest: usize,
    begin: impl Fn(usize, usize) -> S,
    take: impl Fn(&mut S, usize),
    mut finish: impl FnMut(usize, S),
) {
    let mut lanes: [Option<Lane<S>>; LANES] = [None; LANES];
    let mut waiting = 0;
    spans.each(|step, lo, hi| {
        if hi - lo < shortest.max(1) {
            return;
        }
        lanes[waiting] = Some(Lane {
            step,
            next: lo,
            end: hi,
            state: begin(step, lo),
        });
        waiting += 1;
        if waiting == LANES {
            run(&mut lanes, &take, &mut finish);
            waiting = 0;
        }
    });
    for lane in lanes.into_iter().take(waiting).flatten() {
        lane.finish(&take, &mut finish);
    }
}

/// A window on its way.
#[derive(Clone, Copy)]
struct Lane<S> {
    step: usize,
    next: usize,
    end: usize,
    state: S,
}

impl<S> Lane<S> {
    /// Takes the rest of the window in.
    fn finish(mut self, take: &impl Fn(&mut S, usize), finish: &mut impl FnMut(usize, S)) {
        for sample in self.next..self.end {
            take(&mut self.state, sample);
        }
        finish(self.step, self.state);
    }
}

/// Runs all lanes side by side as far as the shortest goes, then each to its end.
fn run<S: Copy>(
    lanes: &mut [Option<Lane<S>>; LANES],
    take: &impl Fn(&mut S, usize),
    finish: &mut impl FnMut(usize, S),
) {
    let [Some(a), Some(b), Some(c), Some(d)] = *lanes else {
        return;
    };
    let mut all = [a, b, c, d];
    let shortest = all.iter().map(|lane| lane.end - lane.next).min();
    for _ in 0..shortest.unwrap_or(0) {
        for lane in &mut all {
            take(&mut lane.state, lane.next);
            lane.next += 1;
        }
    }
    for lane in all {
        lane.finish(take, finish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Grid;
    use crate::select::{Refs, Windows};

    #[test]
    fn each_window_takes_its_own_samples_in_order() {
        for steps in 0..11 {
            let windows = Windows {
                refs: Refs::new(Grid::range(0, steps * 10 - 10, 10), None, 0),
                width_ms: 25,
            };
            let timestamps = [0, 5, 20, 30, 40, 41, 60, 70, 71];
            let mut spans = Spans::default();
            spans.find(windows, &timestamps);
            let mut expected = Vec::new();
            spans.each(|step, lo, hi| {
                if hi - lo >= 2 {
                    let digits = (lo..hi).fold(0, |d, i| d * 10 + i as u64);
                    expected.push((step, digits));
                }
            });
            let mut got = Vec::new();
            let take = |digits: &mut u64, i| *digits = *digits * 10 + i as u64;
            each_window(
                &spans,
                2,
                |_, _| 0,
                take,
                |step, digits| got.push((step, digits)),
            );
            assert_eq!(got, expected, "{steps} steps");
        }
    }
}
