//! Fields of the text form, with values that cannot leave their line.
//!
//! A value may come from outside by many ways: a reply, a name in a certificate, an error's text.
//! None of them is trusted to be one line, so all are escaped here, where every field is written.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes `name=value`, and the message as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor { writer, padding: "", result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

/// Writes one field after the other.
struct TextVisitor<'writer> {
    writer: Writer<'writer>,
    padding: &'static str,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn write(&mut self, field: &Field, value: &dyn Debug) -> fmt::Result {
        self.writer.write_str(self.padding)?;
        self.padding = " ";
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        if name != "message" {
            if self.writer.has_ansi_escapes() {
                write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
            } else {
                self.writer.write_str(name)?;
                self.writer.write_char('=')?;
            }
        }
        write!(Escaping(&mut self.writer), "{value:?}")
    }
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }
}

/// Writes a value as it comes, piece by piece, so that it is held nowhere in between.
struct Escaping<'a, 'writer>(&'a mut Writer<'writer>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.write_str(&escaped(piece))
    }
}

/// `text` with all that could end its line, or change how it is shown, written as an escape.
fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if is_plain || !text.contains(breaks_out) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if breaks_out(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

/// Whether a character could end a line of the log, move the cursor of a terminal, or turn the
/// order of what follows around: controls, line and paragraph separators, directional formatting
/// (Unicode UAX 9 §2).
pub(super) fn breaks_out(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What a log has written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Whether the log has colours.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Colours {
        Off,
        On,
    }

    /// The log of what `log` does, as text.
    fn logged(colours: Colours, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(TextFields)
            .without_time()
            .with_target(false)
            .with_ansi(colours == Colours::On)
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const FORGED: &str =
        "a\n2030-01-01T00:00:00Z  INFO delivered queue_id=1\r\u{2028}\u{202e}\x1b[2J\u{85}\0z";

    #[test]
    fn no_value_ends_its_line_or_leaves_it_whatever_it_is_and_however_it_is_written() {
        let error = std::io::Error::other(FORGED);
        let text = logged(Colours::Off, || {
            let span = tracing::info_span!("attempt", name = %FORGED, other = FORGED);
            let _entered = span.entered();
            tracing::info!(%error, text = FORGED, debug = ?FORGED, shown = %FORGED, "tried");
            tracing::info!(reason = ?error, optional = Some(FORGED), "{FORGED}");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        let odd = |c: char| c != '\n' && breaks_out(c);
        assert!(!text.contains(odd), "{text:?}");
        assert!(!text.contains("\u{2028}"), "{text:?}");
        assert_eq!(text.matches("a\\n2030-01-01").count(), 2 * 2 + 4 + 3, "{text}");
    }

    #[test]
    fn what_is_plain_is_written_as_it_is() {
        let text = logged(Colours::Off, || {
            let span = tracing::info_span!("attempt", n = 3);
            let _entered = span.entered();
            tracing::info!(domain = "b.test", error = %"it is closed: a \"b\"", size = 7_u64, "deferred");
        });
        assert_eq!(
            text.trim(),
            "INFO attempt{n=3}: deferred domain=\"b.test\" error=it is closed: a \"b\" size=7"
        );
    }

    #[test]
    fn colours_are_those_of_the_log_and_not_of_a_value() {
        let text = logged(Colours::On, || tracing::info!(error = %"\x1b[31mred", "deferred"));
        assert!(text.contains("\x1b[3merror\x1b[0m"), "{text:?}");
        assert!(text.contains("\\u{1b}[31mred"), "{text:?}");
    }
}
