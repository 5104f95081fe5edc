-- Schedules, and the runs of their slots.
CREATE TABLE schedules (
    name       text NOT NULL PRIMARY KEY,
    -- JSON: what, when, and what becomes of missed slots.
    definition text NOT NULL,
    -- When: another text begins anew. Empty: the schedule is off.
    timing     text NOT NULL,
    -- The first slot that nobody has claimed.
    next_due   timestamptz
);

CREATE TABLE schedule_runs (
    schedule    text        NOT NULL,
    slot        timestamptz NOT NULL,
    campaign_id uuid,
    state       text        NOT NULL,
    -- JSON: what is done.
    plan        text,
    -- The process that is at it, and its name.
    owner       uuid        NOT NULL,
    claimed_by  text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    -- When that process last said that it is at it.
    beat        timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    error       text,
    PRIMARY KEY (schedule, slot)
);

CREATE INDEX schedule_runs_running ON schedule_runs (schedule) WHERE state = 'running';

-- Whoever may read or write campaigns may do so with these.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'campaigns'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON schedules, schedule_runs TO %s', held.privilege, held.role);
    END LOOP;
END
$$;
