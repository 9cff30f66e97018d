"""All commands, in the order of the help."""

from beam_jobs.cli.bootstrap import bootstrap_command
from beam_jobs.cli.cut import cut_command
from beam_jobs.cli.diff import diff_command
from beam_jobs.cli.evaluate import calibrate_command, evaluate_command
from beam_jobs.cli.explain import explain_command
from beam_jobs.cli.forget import forget_command
from beam_jobs.cli.inspect import inspect_command
from beam_jobs.cli.mine import mine_command
from beam_jobs.cli.plan import plan_command
from beam_jobs.cli.run import STAGE_COMMANDS, run_command
from beam_jobs.cli.score import score_command
from beam_jobs.cli.status import status_command
from beam_jobs.cli.train import train_command
from beam_jobs.cli.work import work_command

COMMANDS = [
    plan_command,
    run_command,
    *STAGE_COMMANDS,
    work_command,
    status_command,
    evaluate_command,
    calibrate_command,
    mine_command,
    score_command,
    explain_command,
    forget_command,
    cut_command,
    train_command,
    bootstrap_command,
    inspect_command,
    diff_command,
]
