-- A ledger of everfit 0.1: tables of the first migration, four turns, an approval and a look at a traffic trial.
BEGIN TRANSACTION;
CREATE TABLE decisions (
	id TEXT NOT NULL,
	model TEXT NOT NULL,
	turn_id TEXT,
	kind TEXT NOT NULL,
	verdict TEXT NOT NULL,
	until DATETIME,
	reasons JSON NOT NULL,
	record JSON NOT NULL,
	at DATETIME NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT decisions_turn FOREIGN KEY(turn_id) REFERENCES turns (id)
);
INSERT INTO "decisions" VALUES('flights-2/approval','flights','flights-2','approval','reject',NULL,'["Rejected by ann: not before the holidays"]','{"outcome": "reject", "by": "ann", "why": "not before the holidays", "request": {"model": "flights", "turn_id": "flights-2", "version": 2, "run_id": "run2", "champion_version": 1, "headline": "It is better", "asked_at": "2013-02-01T01:05:00Z", "expires_at": "2013-02-08T01:05:00Z"}}','2013-02-02 08:00:00.000000');
INSERT INTO "decisions" VALUES('flights-4/trial/1','flights','flights-4','trial','return',NULL,'["Taken back: it failed on 30 of 100 requests"]','{"verdict": "return", "share": 0.0, "reasons": ["Taken back: it failed on 30 of 100 requests"], "checks": [], "overtaken": true, "evidence": {"until": "2013-04-02T00:00:00Z", "champion": 1, "requests": 100, "errors": 30, "timed": 0, "slow": 0, "slow_from_ms": null, "steps": [{"share": 0.1, "window": {"since": "2013-04-01T00:00:00Z", "until": "2013-04-02T00:00:00Z"}, "challenger_rows": 100, "champion_rows": 900, "labels": 0, "quality": null, "why_no_quality": "no labels yet"}]}}','2013-04-02 00:00:01.000000');
CREATE TABLE everfit_schema (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT everfit_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "everfit_schema" VALUES('0001');
CREATE TABLE leases (
	model TEXT NOT NULL,
	scope TEXT NOT NULL,
	holder TEXT,
	token INTEGER NOT NULL,
	turn_id TEXT,
	host TEXT NOT NULL,
	pid INTEGER NOT NULL,
	process_started TEXT NOT NULL,
	acquired_at DATETIME NOT NULL,
	beat_at DATETIME NOT NULL,
	expires_at DATETIME NOT NULL,
	PRIMARY KEY (model, scope)
);
INSERT INTO "leases" VALUES('flights','turn',NULL,4,NULL,'host',1,'','2013-04-01 01:00:00.000000','2013-04-01 01:04:00.000000','2013-04-01 01:05:00.000000');
CREATE TABLE releases (
	model TEXT NOT NULL,
	seq INTEGER NOT NULL,
	version INTEGER NOT NULL,
	previous_version INTEGER,
	kind TEXT NOT NULL,
	reason TEXT NOT NULL,
	actor TEXT NOT NULL,
	turn_id TEXT,
	state TEXT NOT NULL,
	run_id TEXT NOT NULL,
	snapshot_digest TEXT NOT NULL,
	note TEXT NOT NULL,
	at DATETIME NOT NULL,
	verified_at DATETIME,
	PRIMARY KEY (model, seq),
	CONSTRAINT releases_kind CHECK (kind IN ('promotion', 'rollback', 'outside')),
	CONSTRAINT releases_state CHECK (state IN ('intent', 'alias_set', 'verified', 'undone')),
	CONSTRAINT releases_turn FOREIGN KEY(turn_id) REFERENCES turns (id)
);
INSERT INTO "releases" VALUES('flights',1,1,NULL,'promotion','It beats the dummy','everfit','flights-1','verified','run1','d1','','2013-01-01 01:04:00.000000','2013-01-01 01:04:10.000000');
CREATE TABLE turns (
	id TEXT NOT NULL,
	model TEXT NOT NULL,
	seq INTEGER NOT NULL,
	trigger_kind TEXT NOT NULL,
	trigger_reason TEXT NOT NULL,
	trigger_id TEXT NOT NULL,
	since DATETIME,
	until DATETIME NOT NULL,
	state TEXT NOT NULL,
	verdict TEXT,
	reasons JSON NOT NULL,
	record JSON NOT NULL,
	spec_digest TEXT NOT NULL,
	code_version TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	fence INTEGER,
	started_at DATETIME NOT NULL,
	finished_at DATETIME,
	seconds FLOAT,
	error TEXT,
	PRIMARY KEY (id),
	CONSTRAINT turns_model_seq UNIQUE (model, seq)
);
INSERT INTO "turns" VALUES('flights-1','flights',1,'schedule','nightly','',NULL,'2013-01-01 00:00:00.000000','Promoted','promote','["It beats the dummy"]','{"version": {"model": "flights", "version": 1, "run_id": "run1", "trained_until": "2013-01-01T00:00:00Z", "snapshot_digest": "d1"}}','5bec','0.1.0',1,1,'2013-01-01 01:00:00.000000','2013-01-01 01:05:00.000000',300.0,NULL);
INSERT INTO "turns" VALUES('flights-2','flights',2,'schedule','nightly','',NULL,'2013-02-01 00:00:00.000000','Rejected','needs_approval','["Rejected by ann: not before the holidays", "It is better"]','{"version": {"model": "flights", "version": 2, "run_id": "run2", "trained_until": "2013-01-01T00:00:00Z", "snapshot_digest": "d1"}}','5bec','0.1.0',1,2,'2013-02-01 01:00:00.000000','2013-02-01 01:05:00.000000',300.0,NULL);
INSERT INTO "turns" VALUES('flights-3','flights',3,'schedule','nightly','',NULL,'2013-03-01 00:00:00.000000','DataRejected',NULL,'["7 of 100 rows are bad"]','{}','5bec','0.1.0',1,3,'2013-03-01 01:00:00.000000','2013-03-01 01:05:00.000000',300.0,NULL);
INSERT INTO "turns" VALUES('flights-4','flights',4,'schedule','nightly','',NULL,'2013-04-01 00:00:00.000000','Returned','promote','["Taken back: it failed on 30 of 100 requests"]','{"version": {"model": "flights", "version": 3, "run_id": "run3", "trained_until": "2013-01-01T00:00:00Z", "snapshot_digest": "d1"}}','5bec','0.1.0',1,4,'2013-04-01 01:00:00.000000','2013-04-01 01:05:00.000000',300.0,NULL);
CREATE INDEX decisions_model_at ON decisions (model, at);
CREATE INDEX decisions_turn_id ON decisions (turn_id);
CREATE UNIQUE INDEX releases_one_intent ON releases (model) WHERE state = 'intent';
CREATE INDEX releases_turn_id ON releases (turn_id);
COMMIT;
