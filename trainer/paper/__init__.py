"""The paper's Tables 1-3: which trainings they are made of, running them, and the report."""
