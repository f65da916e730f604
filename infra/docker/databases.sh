#!/bin/sh
# Run by the postgres image on its first start: a role and a database each, so that no server reads another's, and a
# role for the dashboard that can read the ledger and change nothing.
set -eu

as_postgres() {
    psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" "$@"
}

for name in prefect mlflow everfit; do
    case $name in
        prefect) password=$PREFECT_DB_PASSWORD ;;
        mlflow) password=$MLFLOW_DB_PASSWORD ;;
        everfit) password=$EVERFIT_DB_PASSWORD ;;
    esac
    as_postgres --set=name="$name" --set=password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done

as_postgres --dbname=everfit --set=password="$DASHBOARD_DB_PASSWORD" <<'SQL'
CREATE ROLE dashboard LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE everfit TO dashboard;
GRANT USAGE ON SCHEMA public TO dashboard;
ALTER DEFAULT PRIVILEGES FOR ROLE everfit IN SCHEMA public GRANT SELECT ON TABLES TO dashboard;
SQL
