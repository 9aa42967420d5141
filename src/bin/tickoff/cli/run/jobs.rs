//! What is done for each PO: a command of its own, or a request to a worker that stays alive.

use tickoff::{
    CommandTemplate, Job, KeptOutput, Outcome, RecordCommand, Session, Stop, WorkerProcesses,
};

use super::args::RunArgs;
use crate::exit::{Exit, Failure};

/// Refuses a command that is not there or cannot be run.
pub fn must_be_runnable(args: &RunArgs) -> Result<(), Failure> {
    let resolved = CommandTemplate::parse(&args.cmd, &[]).resolve_program();
    resolved.map(drop).map_err(|error| {
        let exit = if error.exit_code() == 127 {
            Exit::NoCommand
        } else {
            Exit::CannotRun
        };
        Failure::Other(exit, error.to_string())
    })
}

/// What is done for each PO.
pub enum Jobs {
    Commands(RecordCommand),
    Workers(WorkerProcesses),
}

impl Jobs {
    /// Makes ready what all jobs share.
    pub fn prepare(args: &RunArgs, session: &Session) -> Result<Jobs, Failure> {
        let id = session.id();
        if args.worker_protocol.is_none() {
            let template = CommandTemplate::parse(&args.cmd, &session.columns());
            let mut command = RecordCommand::new(template, id)?;
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
                command = command.keep_output(KeptOutput::in_folder(folder)?);
            }
            return Ok(Jobs::Commands(command));
        }
        let mut workers =
            WorkerProcesses::new(&args.cmd, args.jobs.get(), id)?.stagger(args.stagger);
        if let Some(timeout) = args.timeout {
            workers = workers.timeout(timeout);
        }
        if let Some(answers) = args.recycle_after {
            workers = workers.recycle_after(answers);
        }
        Ok(Jobs::Workers(workers))
    }

    /// Does it for one PO.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        match self {
            Jobs::Commands(command) => command.run(job),
            Jobs::Workers(workers) => workers.run(job),
        }
    }

    /// Lets workers end; whether the run was ended because none ever answered.
    pub fn finish(self, stop: &Stop) -> bool {
        match self {
            Jobs::Commands(_) => false,
            Jobs::Workers(workers) => {
                let has_given_up = workers.gave_up();
                workers.finish(stop);
                has_given_up
            }
        }
    }
}
