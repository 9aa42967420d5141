#!/bin/sh
# A worker for tickoff in plain shell. sed is no parser of JSON: it will do for orders whose names hold no
# quotes. Real work would use jq.
while IFS= read -r request; do
    id=$(printf '%s\n' "$request" | sed 's/^{"id":\([0-9]*\),.*/\1/')
    po=$(printf '%s\n' "$request" | sed 's/.*"po_number":"\([^"]*\)".*/\1/')
    echo "{\"id\":$id,\"progress\":\"looking for $po\"}"
    case $po in
        *MISSING*) echo "{\"id\":$id,\"error\":\"404: no such order\"}" ;;
        *) echo "{\"id\":$id,\"updates\":{\"ATTACHMENTS_FOUND\":1}}" ;;
    esac
done
