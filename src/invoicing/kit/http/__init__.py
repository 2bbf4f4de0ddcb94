"""HTTP at the edge: problems, answers, bodies, headers and what OpenAPI says of them; knows no noun of ours."""
