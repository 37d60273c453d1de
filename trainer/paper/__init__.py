"""The paper's Tables 1-3: their trainings, running them, and the report."""
