"""Ray: who does the work. Nothing else imports ray."""
