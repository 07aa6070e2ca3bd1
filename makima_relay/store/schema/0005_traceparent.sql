-- The trace that a task belongs to: W3C Trace Context's traceparent. Rows that are there need not be written for it.
ALTER TABLE tasks ADD COLUMN traceparent TEXT;
