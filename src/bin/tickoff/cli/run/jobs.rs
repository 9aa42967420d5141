//! What is done for each row: a command of its own, or a request to a worker that stays alive.

use tickoff::{
    CannotRun, CommandTemplate, Job, KeptOutput, Outcome, RecordCommand, Rights, Session, Stop,
    WorkerProcesses, escape,
};

use super::args::RunArgs;
use super::printed::JobOutput;
use crate::exit::{Exit, Failure};

/// Refuses a command that is not there or cannot be run, if that can be told without the sheet.
pub fn must_be_runnable(args: &RunArgs) -> Result<(), Failure> {
    let program = args.cmd[0].to_string_lossy().replace("{}", "");
    match template(args, &[]) {
        Ok(template) if args.worker_protocol.is_some() || !program.contains('{') => {
            resolve(&template)
        }
        // What it may name, and what is to be said of it, depends on the columns.
        _ => Ok(()),
    }
}

/// Refuses a command that cannot be run for a sheet with these columns, or whose placeholders are not as they
/// should be.
pub fn must_fit(args: &RunArgs, columns: &[String]) -> Result<(), Failure> {
    resolve(&template(args, columns)?)
}

fn resolve(template: &CommandTemplate) -> Result<(), Failure> {
    let resolved = template.resolve_program();
    resolved.map_err(|reason| Failure::Other(exit_of(&reason), reason.to_string()))
}

/// The command line for a sheet with these columns; that of a worker has no placeholders.
pub fn template(args: &RunArgs, columns: &[String]) -> Result<CommandTemplate, Failure> {
    if args.worker_protocol.is_some() {
        return Ok(CommandTemplate::literal(&args.cmd));
    }
    CommandTemplate::parse(&args.cmd, columns)
        .map_err(|error| Failure::Other(Exit::Usage, error.to_string()))
}

fn exit_of(reason: &CannotRun) -> Exit {
    match reason.exit_code() {
        127 => Exit::NoCommand,
        _ => Exit::CannotRun,
    }
}

/// What is done for each row.
pub enum Jobs {
    Commands(RecordCommand),
    Workers(WorkerProcesses),
}

impl Jobs {
    /// Makes ready what all jobs share.
    pub fn prepare(
        args: &RunArgs,
        session: &Session,
        output: Option<&JobOutput>,
    ) -> Result<Jobs, Failure> {
        let (id, stage) = (session.id(), args.stage.stage());
        if args.worker_protocol.is_none() {
            let columns = session.columns();
            let template = template(args, &columns)?;
            for (text, placeholder) in template.meant_as_cells(&columns) {
                let (text, placeholder) = (escape(text), escape(&placeholder));
                tracing::warn!(
                    "the command gets {text} as it is, since no shell looks at it: {placeholder} is the cell"
                );
            }
            for text in template.left_as_text() {
                tracing::warn!("the sheet has no column {text}: the command gets it as it is");
            }
            let mut command = RecordCommand::new(template, id)?
                .stage(&stage)
                .keep_large_answers(session.handler().backups()?);
            if let Some(timeout) = args.timeout {
                command = command.timeout(timeout);
            }
            if let Some(column) = &args.stdout_to {
                command = command.stdout_to(column);
            }
            if let Some(codes) = &args.retry_on {
                command = command.retry_on(codes.clone());
            }
            if let Some(folder) = &args.results {
                command = command.keep_output(KeptOutput::in_folder(
                    folder,
                    Rights::of(session.handler().path())?,
                )?);
            }
            if let Some(output) = output {
                command = command.print_to(output.printer());
            }
            return Ok(Jobs::Commands(command));
        }
        let mut workers = WorkerProcesses::new(&args.cmd, args.jobs.get(), id)?
            .stage(&stage)
            .keep_large_answers(session.handler().backups()?)
            .stagger(args.stagger);
        if let Some(timeout) = args.timeout {
            workers = workers.timeout(timeout);
        }
        if let Some(answers) = args.recycle_after {
            workers = workers.recycle_after(answers);
        }
        if let Some(output) = output {
            workers = workers.print_to(output.printer());
        }
        Ok(Jobs::Workers(workers))
    }

    /// Does it for one row.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        match self {
            Jobs::Commands(command) => command.run(job),
            Jobs::Workers(workers) => workers.run(job),
        }
    }

    /// Lets the process end that a worker had, of which the pool has fewer now.
    pub fn retire(&self, worker: usize, stop: &Stop) {
        if let Jobs::Workers(workers) = self {
            workers.retire(worker, stop);
        }
    }

    /// Lets workers end. How the run ends if no job could be started, or no worker ever answered.
    pub fn finish(self, stop: &Stop) -> Exit {
        let cannot_run = match &self {
            Jobs::Commands(command) => command.cannot_run(),
            Jobs::Workers(workers) => workers.cannot_run(),
        };
        let mut exit = cannot_run.map_or(Exit::Done, exit_of);
        if let Jobs::Workers(workers) = self {
            if workers.gave_up() {
                exit = exit.and(Exit::Halted);
            }
            workers.finish(stop);
        }
        exit
    }
}
