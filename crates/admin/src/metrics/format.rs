//! The two forms of a scrape: that of openmetrics.io, which Prometheus asks for, and the older text
//! for everybody else.

/// The media type of the text of openmetrics.io 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of Prometheus' own text.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A form of a scrape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Prometheus' own text, in which a counter is called what its series are called.
    Classic,
    /// The text of openmetrics.io.
    OpenMetrics,
}

impl Format {
    /// The form for a client that accepts these media types.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Classic => CLASSIC,
            Self::OpenMetrics => OPEN_METRICS,
        }
    }

    /// A scrape in this form, made of the text of openmetrics.io.
    pub fn of(self, open_metrics: String) -> String {
        match self {
            Self::Classic => classic(&open_metrics),
            Self::OpenMetrics => open_metrics,
        }
    }
}

/// The same as Prometheus' own text: counters are declared by the name that their series have, and
/// there are neither units nor an end.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // It comes before the type, which says what the name will be.
            help = rest.split_once(' ').map(|(_name, words)| words);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let words = help.take().unwrap_or_default();
            text.push_str(&format!("# HELP {name}{suffix} {words}\n"));
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_declares_counters_by_the_names_of_their_series() {
        let open_metrics = "# HELP a_bytes Octets.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
            a_bytes_total 1\n# HELP b Now.\n# TYPE b gauge\nb{c=\"# d\"} 2\n# EOF\n";
        let older = "# HELP a_bytes_total Octets.\n# TYPE a_bytes_total counter\na_bytes_total 1\n\
            # HELP b Now.\n# TYPE b gauge\nb{c=\"# d\"} 2\n";
        assert_eq!(Format::Classic.of(open_metrics.to_owned()), older);
        assert_eq!(Format::OpenMetrics.of(open_metrics.to_owned()), open_metrics);
    }

    #[test]
    fn who_does_not_ask_for_openmetrics_gets_the_older_text() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Classic);
        assert_eq!(Format::accepted(""), Format::Classic);
    }
}
