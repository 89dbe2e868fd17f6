//! An error as a person reads it: with its causes, in one line.

use std::error::Error;

/// The error and its causes in one line, each once: an error may only pass another one on.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string);
    causes.fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        said if said.ends_with(&cause) => told,
        said => format!("{said}: {cause}"),
    })
}
