#!/bin/sh
# Fetches the attachments of an order with curl:
#
#     tickoff run orders.csv -j 8 -- fetch.sh URL FOLDER
#
# What may pass (no answer, a rate limit, a server's error) is worth another attempt: exit code 75.
url=$1
folder=$2/$TICKOFF_PO

# A PO becomes a part of addresses and paths.
case $TICKOFF_PO in
    *[!A-Za-z0-9_-]*) echo "this is no PO number" >&2; exit 1 ;;
esac

# get ADDRESS FILE
get() {
    code=$(curl -sS --max-time 2 -o "$2" -w '%{http_code}' "$1") || exit 75
    case $code in
        200) ;;
        429 | 5??) echo "HTTP $code" >&2; exit 75 ;;
        *) echo "HTTP $code" >&2; exit 1 ;;
    esac
}

mkdir -p "$folder"
get "$url/orders/$TICKOFF_PO" "$folder/.names"
found=0 names=
while IFS= read -r name; do
    get "$url/files/$TICKOFF_PO/$name" "$folder/$name"
    found=$((found + 1)) names=$names${names:+;}$name
done < "$folder/.names"
rm "$folder/.names"

[ "$found" -gt 0 ] && status=COMPLETED || status=NO_ATTACHMENTS
printf '{"STATUS":"%s","ATTACHMENTS_FOUND":%d,"ATTACHMENTS_DOWNLOADED":%d,"AttachmentName":"%s","DOWNLOAD_FOLDER":"%s"}' \
    $status $found $found "$names" "$folder" > "$TICKOFF_RESULT"
