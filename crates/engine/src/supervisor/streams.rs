//! What comes out of a worker: its two streams into the transcript, clean, and to whoever listens to it; its reports.

use super::work::Hand;
use crate::transcript::Channel;
use crate::worker::{LiveEvent, Output};
use dormouse_secrets::ScrubStream;

impl Hand<'_> {
    pub(super) fn hear(&mut self, event: LiveEvent) {
        match event {
            LiveEvent::Stdout(bytes) => self.print(Channel::Stdout, &bytes),
            LiveEvent::Stderr(bytes) => self.print(Channel::Stderr, &bytes),
            LiveEvent::Report(bytes) => {
                self.progressed();
                if let Some(reports) = &mut self.reports {
                    reports.hear(&bytes);
                }
            }
            LiveEvent::Elided { output, bytes } => {
                self.progressed();
                match output {
                    Output::Stdout => self.elide(Channel::Stdout, bytes),
                    Output::Stderr => self.elide(Channel::Stderr, bytes),
                    Output::Report => {
                        if let Some(reports) = &mut self.reports {
                            reports.cut();
                        }
                    }
                }
            }
            LiveEvent::Exited(_) => self.has_left = true,
            LiveEvent::Gone(_) => {}
        }
    }

    fn print(&mut self, channel: Channel, bytes: &[u8]) {
        let at = self.parts.clock.now();
        if let Some(stream) = self.stream(channel) {
            let clean = stream.push(bytes);
            if self.listen(channel, clean.as_slice()) {
                self.progressed();
            }
            self.parts.transcript.push(at, channel, clean);
        }
    }

    /// The stream of a provider is what it writes on standard output. Says whether it shows that the work goes on.
    fn listen(&mut self, channel: Channel, clean: &[u8]) -> bool {
        if channel != Channel::Stdout {
            return true;
        }
        let goes_on = self.hearing.as_mut().is_none_or(|hearing| hearing.hear(clean));
        if let Some(talking) = &mut self.talking {
            talking.hear(clean);
            if talking.take_turn_begun()
                && let Some(hearing) = &mut self.hearing
            {
                hearing.turn_begun();
            }
        }
        goes_on
    }

    /// No value reaches across what is missing: the scrubber begins anew behind it.
    fn elide(&mut self, channel: Channel, bytes: u64) {
        self.cut(channel);
        self.parts.transcript.elide(bytes);
    }

    fn cut(&mut self, channel: Channel) {
        let fresh = self.parts.scrubber().stream();
        let former = match channel {
            Channel::Stdout => self.stdout.replace(fresh),
            Channel::Stderr => self.stderr.replace(fresh),
        };
        self.finish_stream(channel, former);
        if let (Channel::Stdout, Some(hearing)) = (channel, &mut self.hearing) {
            hearing.cut();
        }
        if let (Channel::Stdout, Some(talking)) = (channel, &mut self.talking) {
            talking.cut();
        }
    }

    pub(super) fn flush(&mut self) {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        self.finish_stream(Channel::Stdout, stdout);
        self.finish_stream(Channel::Stderr, stderr);
    }

    fn finish_stream(&mut self, channel: Channel, stream: Option<ScrubStream>) {
        if let Some(stream) = stream {
            let (rest, seen) = stream.finish_counted();
            for (kind, count) in seen {
                *self.formats.entry(kind.to_owned()).or_default() += count;
            }
            self.listen(channel, rest.as_slice());
            if !rest.is_empty() {
                self.parts.transcript.push(self.parts.clock.now(), channel, rest);
            }
        }
    }

    fn stream(&mut self, channel: Channel) -> Option<&mut ScrubStream> {
        match channel {
            Channel::Stdout => self.stdout.as_mut(),
            Channel::Stderr => self.stderr.as_mut(),
        }
    }
}
