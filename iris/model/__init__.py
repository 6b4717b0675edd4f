"""What a job, task, attempt, gang, constraint, resource, worker and slice ARE. Pure: values and
rules, no I/O, no clock."""
