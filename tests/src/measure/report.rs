//! What a run printed, and what of it is kept beside the build.

use std::path::Path;

use super::{Figure, Form, Heading, Machine, figure, plot};

/// The sections of a run: each is printed as soon as it is measured.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    form: Form,
    legend: String,
    measured: Vec<(Heading, Vec<Figure>)>,
}

impl Report {
    /// Prints what it is measured on. The legend is said once, behind the tables.
    #[must_use]
    pub fn begin(machine: Machine, form: Form, rounds: usize, what: &str) -> Self {
        figure::print_head(form, &machine);
        Self {
            machine,
            form,
            legend: format!("{what}{}", figure::legend(rounds)),
            measured: Vec::new(),
        }
    }

    /// Prints a section.
    pub fn section(&mut self, heading: Heading, figures: Vec<Figure>) {
        figure::print(self.form, heading, &figures);
        self.measured.push((heading, figures));
    }

    /// Ends the output, and keeps table and plot as `bench/NAME.md` and `.svg` in the target folder, of which this is
    /// the part for temporary files.
    pub fn keep(self, name: &str, target_tmpdir: &str) {
        if self.form == Form::Table {
            println!("\n{}", self.legend);
        }
        let folder = Path::new(target_tmpdir)
            .parent()
            .expect("it is in the target folder")
            .join("bench");
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(format!("{name}.md")), self.tables()))
            .and_then(|()| std::fs::write(folder.join(format!("{name}.svg")), plot::of(&self.measured)));
        match written {
            Ok(()) => eprintln!("{0}/{name}.md and {0}/{name}.svg", folder.display()),
            Err(error) => eprintln!("error: {}: {error}", folder.display()),
        }
    }

    fn tables(&self) -> String {
        let Self {
            machine,
            legend,
            measured,
            ..
        } = self;
        let tables: String = measured
            .iter()
            .map(|(heading, figures)| figure::table(*heading, figures))
            .collect();
        format!("{machine}\n{tables}\n{legend}\n")
    }
}
