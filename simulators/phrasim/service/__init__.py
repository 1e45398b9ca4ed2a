"""What the simulated services have in common: operations bound to their code, validated requests, refusals."""
