"""The first ledger: jobs, submissions, uploads, outputs, credit entries, events, runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "info",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_info")),
    )
    op.create_table(
        "manifests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifests")),
        sa.UniqueConstraint("path", name=op.f("uq_manifests_path")),
    )
    op.create_table(
        "media",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("duration", sa.Float(precision=53), nullable=True),
        sa.Column("fps", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_media")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("vendor_path", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.Float(precision=53), nullable=False),
        sa.Column("expires_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_scope_digest_kind"), "uploads", ["scope", "digest", "kind"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("auto_id", sa.Boolean(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("ask", sa.String(length=64), nullable=False),
        sa.Column("manifest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("added_at", sa.Float(precision=53), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("video_kind", sa.String(length=16), nullable=False),
        sa.Column("video", sa.Text(), nullable=False),
        sa.Column("video_digest", sa.String(length=64), nullable=True),
        sa.Column("audio_kind", sa.String(length=16), nullable=False),
        sa.Column("audio", sa.Text(), nullable=False),
        sa.Column("audio_digest", sa.String(length=64), nullable=True),
        sa.Column("start_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("end_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("max_fps_limit", sa.Float(precision=53), nullable=True),
        sa.Column("generation_mode", sa.String(length=16), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("output_dir", sa.Text(), nullable=False),
        sa.Column("source_fps", sa.Float(precision=53), nullable=True),
        sa.Column("estimate", sa.BigInteger(), nullable=False),
        sa.Column("worst", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("vendor_status", sa.String(length=16), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("project_credits", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("video_asset", sa.Text(), nullable=True),
        sa.Column("audio_asset", sa.Text(), nullable=True),
        sa.Column("assets_expire_at", sa.Float(precision=53), nullable=True),
        sa.Column("submissions", sa.BigInteger(), nullable=False),
        sa.Column("submitted_at", sa.Float(precision=53), nullable=True),
        sa.Column("rendered_at", sa.Float(precision=53), nullable=True),
        sa.Column("finished_at", sa.Float(precision=53), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("not_before", sa.Float(precision=53), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Float(precision=53), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("strikes", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint(
            "state IN ('planned', 'uploaded', 'submitting', 'held', 'rendering', 'rendered', "
            "'complete', 'failed', 'canceled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name=op.f("fk_jobs_manifest_id_manifests")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
        sa.UniqueConstraint("token", name=op.f("uq_jobs_token")),
    )
    op.create_index(op.f("ix_jobs_ask"), "jobs", ["ask"], unique=False)
    op.create_index(op.f("ix_jobs_project_id"), "jobs", ["project_id"], unique=False)
    op.create_index(op.f("ix_jobs_state_not_before_seq"), "jobs", ["state", "not_before", "seq"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("manifest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("started_at", sa.Float(precision=53), nullable=False),
        sa.Column("ended_at", sa.Float(precision=53), nullable=True),
        sa.Column("stopped", sa.String(length=32), nullable=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("pid_born", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("api_url", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name=op.f("fk_runs_manifest_id_manifests")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "balances",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("moment", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_balances_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balances")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=True),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_events_job_seq_jobs")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_events_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_job_seq"), "events", ["job_seq"], unique=False)
    op.create_table(
        "job_tags",
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_job_tags_job_seq_jobs")),
        sa.PrimaryKeyConstraint("job_seq", "key", name=op.f("pk_job_tags")),
    )
    op.create_index(op.f("ix_job_tags_key_value"), "job_tags", ["key", "value"], unique=False)
    op.create_table(
        "manifest_entries",
        sa.Column("manifest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=True),
        sa.Column("row", sa.JSON(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_manifest_entries_job_seq_jobs")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name=op.f("fk_manifest_entries_manifest_id_manifests")
        ),
        sa.PrimaryKeyConstraint("manifest_id", "job_seq", name=op.f("pk_manifest_entries")),
    )
    op.create_index(op.f("ix_manifest_entries_job_seq"), "manifest_entries", ["job_seq"], unique=False)
    op.create_table(
        "outputs",
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("validator", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("saved_at", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_outputs_job_seq_jobs")),
        sa.PrimaryKeyConstraint("job_seq", "ordinal", name=op.f("pk_outputs")),
    )
    op.create_index(op.f("ix_outputs_path"), "outputs", ["path"], unique=False)
    op.create_table(
        "run_jobs",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_run_jobs_job_seq_jobs")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_jobs_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "job_seq", name=op.f("pk_run_jobs")),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(precision=53), nullable=False),
        sa.Column("settled_at", sa.Float(precision=53), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("http_status", sa.BigInteger(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_submissions_job_seq_jobs")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_submissions_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
    )
    op.create_index(op.f("ix_submissions_job_seq"), "submissions", ["job_seq"], unique=False)
    op.create_table(
        "credit_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("submission_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.CheckConstraint(
            "kind IN ('reserve', 'release', 'charge', 'settle', 'refund')", name=op.f("ck_credit_entries_kind")
        ),
        sa.ForeignKeyConstraint(["job_seq"], ["jobs.seq"], name=op.f("fk_credit_entries_job_seq_jobs")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_credit_entries_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_credit_entries_submission_id_submissions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
    )
    op.create_index(op.f("ix_credit_entries_at"), "credit_entries", ["at"], unique=False)
    op.create_index(op.f("ix_credit_entries_job_seq"), "credit_entries", ["job_seq"], unique=False)
