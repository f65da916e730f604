#!/bin/sh
# The postgres image runs this on its first start. Each server gets a role and a database of its own, and the dashboard gets
# a role that can only read the ledger.
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
