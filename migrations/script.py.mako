<% operations = context.get("operations", UNDEFINED) or [] %>\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from alembic import op
% if operations:

from aria_db.install.operations import ${", ".join(sorted({type(step).__name__ for step in operations}))}
% endif
${imports if imports else ""}
revision = "${up_revision}"
down_revision = "${down_revision}"
branch_labels = None
depends_on = None
% if operations:

OPERATIONS = [
% for step in operations:
    ${type(step).__name__}("${step.name}", ${step.version}),
% endfor
]


def upgrade() -> None:
    op.apply_sql_objects(OPERATIONS)


def downgrade() -> None:
    op.revert_sql_objects(OPERATIONS)
% else:


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
% endif
