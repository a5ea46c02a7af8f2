//! Time in a task: watermarks through its nodes, and the timers that operators have asked for. A node is told a time after all rows
//! that came before it, and tells those that take its rows only after its own results are with them.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::nodes::{Nodes, Work};
use crate::engine::exchange::Message;
use crate::engine::operators::{Emitted, TimerClock};
use crate::engine::watermark::{Upstream, Watermark};
use crate::error::Result;

impl Nodes {
    /// An upstream of a node is so far.
    pub async fn advance(&mut self, place: usize, upstream: Upstream, watermark: Watermark) -> Result<()> {
        match self.all[place].event_time.advance(upstream, watermark) {
            Some(reached) => self.reach(place, reached).await,
            None => Ok(()),
        }
    }

    /// An upstream of a node has ended.
    pub async fn leave(&mut self, place: usize, upstream: &Upstream) -> Result<()> {
        match self.all[place].event_time.leave(upstream) {
            Some(reached) => self.reach(place, reached).await,
            None => Ok(()),
        }
    }

    /// A node's watermark is this now: it, and what follows it, is told. One that holds results back is told when these are out.
    pub async fn reach(&mut self, place: usize, reached: Watermark) -> Result<()> {
        let mut queue = VecDeque::from([(place, reached)]);
        while let Some((place, reached)) = queue.pop_front() {
            let node = &mut self.all[place];
            if let Work::Operator(operator) = &node.work
                && operator.holds_back()
            {
                node.held_watermark = Some(reached);
                continue;
            }
            queue.extend(self.tell(place, reached).await?);
        }
        Ok(())
    }

    /// Tells a node whose held results are out what it did not know yet.
    pub async fn tell_held(&mut self, place: usize) -> Result<()> {
        let Some(reached) = self.all[place].held_watermark.take() else { return Ok(()) };
        for (place, reached) in self.tell(place, reached).await? {
            self.reach(place, reached).await?;
        }
        Ok(())
    }

    /// Tells one node, passes on what it emits, tells other tasks; gives the nodes of this task that are to be told next.
    async fn tell(&mut self, place: usize, reached: Watermark) -> Result<Vec<(usize, Watermark)>> {
        self.all[place].metrics.set_watermark(self.task, reached);
        if let Watermark::At(time) = reached {
            self.fire(place, TimerClock::EventTime, time).await?;
            if let Work::Operator(operator) = &mut self.all[place].work {
                let emitted = operator.watermark(time);
                self.pass_on_counted(place, emitted).await?;
            }
        }
        let outputs = self.all[place].outputs.clone();
        let mut next = Vec::new();
        for (output, side) in outputs.into_iter().zip(std::iter::once(None).chain((0..).map(Some))) {
            for exchange in output.exchanges.iter() {
                exchange.broadcast(|| Message::Watermark(reached)).await?;
            }
            for entry in &output.locals {
                let told = self.all[entry.place].event_time.advance(Upstream::Local(place, side), reached);
                next.extend(told.map(|reached| (entry.place, reached)));
            }
        }
        Ok(next)
    }

    /// Calls an operator for every timer that is due at `now`.
    async fn fire(&mut self, place: usize, clock: TimerClock, now: i64) -> Result<()> {
        let mut before = None;
        while let Work::Operator(operator) = &mut self.all[place].work
            && let Some(due) = operator.next_timer(clock)
            && due <= now
            // One that asks for the same time again would be called for ever.
            && before < Some(due)
        {
            before = Some(due);
            let emitted = operator.timer(clock, due);
            self.pass_on_counted(place, emitted).await?;
        }
        Ok(())
    }

    async fn pass_on_counted(&mut self, place: usize, emitted: Result<Emitted>) -> Result<()> {
        let emitted = emitted.map_err(|error| error.context(&self.all[place].id))?;
        self.all[place].metrics.rows_out.fetch_add(emitted.rows.len() as u64, Ordering::Relaxed);
        self.pass_on(place, emitted).await
    }

    /// When the next timer of processing time is due, milliseconds since 1970-01-01 UTC.
    pub fn next_timer(&self) -> Option<i64> {
        let due = self.all.iter().filter_map(|node| match &node.work {
            Work::Operator(operator) => operator.next_timer(TimerClock::ProcessingTime),
            Work::Source(_) | Work::Sink(_) => None,
        });
        due.min()
    }

    /// Calls every operator whose timers of processing time are due.
    pub async fn fire_timers(&mut self, now_ms: i64) -> Result<()> {
        for place in 0..self.all.len() {
            self.fire(place, TimerClock::ProcessingTime, now_ms).await?;
        }
        Ok(())
    }
}
