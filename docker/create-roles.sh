#!/bin/bash
# Runs once, when the database's volume is new: the two logins of tallystick and the database that one of them owns.
# The owner changes tables (migrations); the service, which faces the network, can't.
set -euo pipefail

psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=owner_password="$TALLYSTICK_OWNER_PASSWORD" \
    --set=service_password="$TALLYSTICK_SERVICE_PASSWORD" <<'SQL'
CREATE ROLE tallystick_service LOGIN PASSWORD :'service_password';
CREATE ROLE tallystick_owner LOGIN CREATEROLE PASSWORD :'owner_password';
GRANT tallystick_service TO tallystick_owner WITH ADMIN OPTION;
CREATE DATABASE tallystick OWNER tallystick_owner;
SQL
