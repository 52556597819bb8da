//! Waking up at a given time, more exactly than by the millisecond that the runtime counts in.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// To set an alarm takes longer than that: let others have a turn instead.
const SHORT: Duration = Duration::from_micros(5);

/// One for all alarms of a task.
#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    /// Not a pipe, but read like one: when it runs out it can be read.
    timer: tokio::net::unix::pipe::Receiver,
}

impl Alarm {
    /// Within a runtime.
    ///
    /// # Errors
    /// If the system has none left.
    pub(super) fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self { timer: tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(timer)? })
        }
        #[cfg(not(target_os = "linux"))]
        Ok(Self {})
    }

    /// Returns the present time once it is `time`.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) async fn until(&self, time: Instant) -> io::Result<Instant> {
        loop {
            let now = Instant::now();
            let left = time.saturating_duration_since(now);
            match left {
                Duration::ZERO => return Ok(now),
                left if left < SHORT => yield_now().await,
                left => self.sleep(left).await?,
            }
        }
    }

    #[cfg(target_os = "linux")]
    async fn sleep(&self, left: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        let spec = Itimerspec { it_interval: never, it_value: once };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        self.timer.readable().await?;
        let mut expirations = [0; 8];
        match self.timer.try_read(&mut expirations) {
            // That was of an earlier alarm: whoever waits looks at the clock.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            read => read.map(drop),
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn sleep(&self, left: Duration) -> io::Result<()> {
        tokio::time::sleep(left).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_wakes_early_and_an_alarm_can_be_set_again() {
        let alarm = Alarm::new().expect("one alarm");
        for wait_us in [1, 100, 3_000, 100] {
            let time = Instant::now() + Duration::from_micros(wait_us);
            assert!(alarm.until(time).await.expect("it rings") >= time);
        }
    }
}
